"""`graspnext doctor`: what is installed, which runtimes and renderers work, and what to do about the rest."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated

import tyro

from graspnext import __version__
from graspnext.cli.doctor_processor import processor
from graspnext.cli.finding import Finding
from graspnext.cli.output import emit_json
from graspnext.errors import GraspNextError


def packages() -> list[Finding]:
    """Every library that some extra needs, as this package's own metadata says."""
    try:
        lines = requires("graspnext") or []
    except PackageNotFoundError:
        return [Finding("packages", "graspnext", False, False, "runs from source, not installed; pip install .")]
    wanted = sorted((_wanted(line) for line in lines), key=lambda one: one[0] != "core")
    return [_package(*one) for one in wanted if one[0] != "dev"]


def _wanted(line: str) -> tuple[str, str, str]:
    """`torch>=2.11; extra == "train"` -> (train, torch, 2.11); without an extra it is the core's."""
    name = re.match(r"[\w.-]+", line)
    extra = re.search(r"""extra == ["']([\w-]+)["']""", line)
    least = re.search(r">=\s*([\d.]+)", line)
    assert name is not None
    return extra[1] if extra else "core", name[0].lower(), least[1] if least else "0"


def _package(extra: str, name: str, least: str) -> Finding:
    target = "graspnext" if extra == "core" else f"'graspnext[{extra}]'"
    try:
        found, detail = True, version(name)
        if _release(detail) < _release(least):
            found, detail = False, f"{detail} is older than {least}; pip install --upgrade {target}"
    except PackageNotFoundError:
        found, detail = False, f"not installed; pip install {target}"
    return Finding(f"packages: {extra}", name, found, extra == "core", detail)


def _release(text: str) -> tuple[int, ...]:
    """Numbers at the head of a version, for comparison: 2.14.0+cpu -> (2, 14)."""
    numbers = re.match(r"\d+(?:\.\d+)*", text)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def runtimes() -> list[Finding]:
    """Whether each runtime gives a result with the bundle that ships."""
    import numpy as np

    from graspnext.runtime.predictor import Predictor

    findings = []
    for name in ("openvino", "onnxruntime"):
        try:
            prediction = Predictor(runtime=name).predict(np.full((64, 64, 3), 128, dtype=np.uint8))
            findings.append(Finding("runtimes", name, True, name == "openvino", f"works, {prediction.suction.shape}"))
        except GraspNextError as error:
            findings.append(Finding("runtimes", name, False, name == "openvino", str(error)))
    return findings


def renderers() -> list[Finding]:
    """Whether each renderer opens, and what it draws on."""
    if importlib.util.find_spec("mujoco") is None:
        return [Finding("renderers", "all", False, False, "mujoco is not installed; pip install 'graspnext[world]'")]
    from graspnext.world.render.renderer import open_renderer, renderer_problems

    findings = []
    for name, problem in renderer_problems().items():
        if problem is None:
            with open_renderer(name) as renderer:
                findings.append(Finding("renderers", name, True, False, f"works, on {renderer.device}"))
        else:
            findings.append(Finding("renderers", name, False, False, problem))
    return findings


CHECKS: tuple[Callable[[], list[Finding]], ...] = (packages, processor, runtimes, renderers)


def main(arguments: Sequence[str]) -> int:
    """Print the report; 0 when everything that predictions need works, 2 otherwise."""

    def doctor(json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None) -> int:
        """Say what is installed and working, and what to do about the rest.

        Example: graspnext doctor --json doctor.json

        Args:
            json: Also write the findings as JSON; - is standard output.
        """
        findings = [finding for check in CHECKS for finding in check()]
        lines = [f"graspnext {__version__}, Python {platform.python_version()}, {platform.platform()}"]
        topic = ""
        for finding in findings:
            if finding.topic != topic:
                topic = finding.topic
                lines.append(topic)
            mark = "ok " if finding.ok else "-- "
            lines.append(f"  {mark} {finding.name:<18} {finding.detail}")
        if str(json) != "-":
            sys.stdout.write("\n".join(lines) + "\n")
        emit_json([vars(finding) for finding in findings], json)
        return 2 if any(finding.required and not finding.ok for finding in findings) else 0

    return int(tyro.cli(doctor, args=list(arguments), prog="graspnext doctor"))
