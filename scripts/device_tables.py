"""Write the tables of docs/devices.md anew: `python scripts/device_tables.py`, after results/ has changed.

What was measured comes from the benchmarks in results/speed/*.json, what is predicted from `graspnext.deploy.devices`
and the operations counted in results/networks/. `--check` writes nothing and exits 1 where the document is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from graspnext.deploy.devices import CHECKS, DEVICES, SPREAD, Rule, rules

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "devices.md"
PRESETS = ("fast", "resnet50")


def measured(folder: Path) -> str:
    """A table for each benchmark."""
    parts = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and {"machine", "conditions", "results"} <= content.keys():
            parts.append(_benchmark(path, content))
    if not parts:
        return "*Nothing measured is in `results/speed/` yet; `graspnext benchmark` says what is true on a device.*"
    return "\n\n".join(parts)


def _benchmark(path: Path, content: dict[str, Any]) -> str:
    machine, conditions = content["machine"], content["conditions"]
    instructions = ", ".join(f"{precision}: {name}" for precision, name in machine["instructions"].items() if name)
    about = (
        f"**{machine['cpu']}**, {conditions['threads']} threads ({instructions}), pictures of "
        f"{conditions['size']} px, batch 1: [{path.name}](../results/speed/{path.name})"
    )
    rows = []
    for one in content["results"]:
        times = [_ms(one.get(f"{part}_ms_{level}")) for part, level in (("network", "p50"), ("end_to_end", "p50"))]
        rows.append(
            [
                f"`{one['model']}`",
                one["runtime"],
                one["ran_precision"],
                *times,
                _ms(one.get("end_to_end_ms_p99")),
                f"{one['cold_start_s']:.1f}",
                f"{one['peak_memory_mb']:.0f}",
            ]
        )
    head = ["network", "runtime", "precision", "network, ms", "end to end p50, ms", "p99, ms", "cold start, s", "MB"]
    return f"{about}\n\n{_table(head, rows)}"


def predicted(folder: Path) -> str:
    """What the rule says for each device, as far as it may be off."""
    networks = {preset: json.loads((folder / f"{preset}.json").read_text()) for preset in PRESETS}
    head = ["device", "precision", *(f"`{preset}`, ms" for preset in PRESETS), "peak, GMAC/s"]
    rows = []
    for device in DEVICES:
        for (kind, precision), rule in rules().items():
            if kind == device.kind and precision in device.gmacs_per_s:
                times = []
                for about in networks.values():
                    time = rule.predict(device, gmacs=about["total"]["gmacs"], pixels=about["input_size"] ** 2)
                    times.append(" to ".join(_two(time * factor) for factor in SPREAD[kind]))
                rows.append([device.name, precision, *times, f"{device.gmacs_per_s[precision]:.0f}"])
    gmacs = ", ".join(f"`{preset}` {about['total']['gmacs']:.1f}" for preset, about in networks.items())
    size = networks[PRESETS[0]]["size"]
    peaks = "\n".join(f"- {device.name}: {device.peak_from}." for device in DEVICES)
    about = f"*predicted*, network alone, pictures of {size} px, batch 1 (GMACs: {gmacs}):"
    return f"{about}\n\n{_table(head, rows)}\n\n{peaks}"


def fitted() -> str:
    """The rules, and how far off they are."""
    said = [
        [rule.device.name, precision, f"{rule.fixed_ms:.0f} ms at {_side(rule)} px", f"{rule.share:.0%}"]
        for (_, precision), rule in rules().items()
    ]
    rows = []
    for device, precision, timing, who in CHECKS:
        time = rules()[device.kind, precision].predict(device, gmacs=timing.gmacs, pixels=timing.pixels)
        ratio = f"{timing.ms / time:.2f}"
        rows.append([timing.network, device.name, precision, f"{time:.1f}", f"{timing.ms:.1f}", ratio, who])
    head = ["network", "device", "precision", "rule, ms", "timed, ms", "timed / rule", "who timed it"]
    return (
        f"{_table(['fitted on', 'precision', 'fixed', 'share of the peak'], said)}\n\n"
        f"Against times that nothing was fitted to:\n\n{_table(head, rows)}"
    )


def _side(rule: Rule) -> int:
    return round(rule.pixels**0.5)


def _two(value: float) -> str:
    """Two digits: more would be a promise."""
    return f"{float(f'{value:.2g}'):.0f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def rewrite(text: str, *, results: Path = ROOT / "results") -> str:
    """The document with all its tables as they should be."""
    tables = {"measured": measured(results / "speed"), "predicted": predicted(results / "networks"), "rule": fitted()}
    for name, table in tables.items():
        begin, end = f"<!-- {name}: written by scripts/device_tables.py -->", f"<!-- end of {name} -->"
        whole = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        assert len(whole.findall(text)) == 1, f"{DOCUMENT.name} must have one place for {name}"
        text = whole.sub(lambda _, new=f"{begin}\n\n{table}\n\n{end}": new, text)  # type: ignore[misc]
    return text


def main(words: Sequence[str] | None = None) -> int:
    """Rewrite or check the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(words)
    text = DOCUMENT.read_text()
    new = rewrite(text)
    if options.check:
        return 0 if new == text else 1
    DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
