"""`graspnext benchmark WHAT...`: latency from a picture's file to its prediction, several networks side by side."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, emit_json, progress
from graspnext.files import write_bytes, write_text

if TYPE_CHECKING:
    from graspnext.deploy.timing.lineup import BenchmarkConfig

DESCRIPTION = """Time networks from a picture's file to its prediction: decode, pre, network, post, wrap; p50, p95, p99.

WHAT is a bundle, the folder of a training run, or the name of a preset, which gets random weights. Everything that is
timed in one runtime and precision is called in one interleaved run, so that ratios hold on a busy machine, too; each
network runs in a process of its own, which also gives the cold start and the peak memory.

Examples:
  graspnext benchmark bundle
  graspnext benchmark fast resnet50 --size 1200 --precision fp32 bf16 --json speed.json --chart speed.png
  graspnext benchmark fast resnet50 --runtime openvino torch:fp32 --precision fp32 bf16 int8 --reference resnet50
  graspnext benchmark bundle --pin 0 1 --rounds 200 --markdown speed.md
  graspnext benchmark fast --precision bf16 --operators layers.json --roofline roofline.md

How to get quiet numbers, and what each of them means: docs/benchmark.md."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is timed, and how."""

    what: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="WHAT...")]
    """Bundles, training runs, presets."""
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 1200
    """Side of the pictures. Presets and runs get the next multiple of 32 as input; a bundle has its own."""
    runtime: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ("openvino",)
    """Some of openvino, onnxruntime, torch; torch:fp32 is torch in that precision alone."""
    precision: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ("fp32", "bf16")
    """Some of fp32, bf16, int8. What a bundle or this processor does not have is left out, and named."""
    reference: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The network that the others are compared with; the first one when left out."""
    rounds: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Of each runtime and precision; as many as fit into --seconds when left out, at least 2."""
    seconds: float = 30.0
    """Of timed calls, for each runtime and precision."""
    starts: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """Cold starts of each, the median counts; one alone where it takes longer than 5 s."""
    threads: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of every runtime; one for each core that may be used when left out."""
    pin: Annotated[tuple[int, ...], tyro.conf.arg(metavar="CORE...")] = ()
    """Cores that everything is kept on."""
    frames: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE...")] = ()
    """Pictures to run on; drawn ones of --size when left out."""
    seed: int = 0
    """Of random weights, drawn pictures, and the order of calls."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write all numbers here; - is standard output."""
    markdown: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the tables here."""
    chart: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a PNG here: a bar for each network, divided into its parts."""
    operators: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also time every layer, and write them here: JSON where the name ends in .json, Markdown otherwise."""
    roofline: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also hold every layer against what the machine can do, and write that here, as --operators."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when done."""
    options = read_options(BenchmarkOptions, arguments, prog="graspnext benchmark", description=DESCRIPTION)
    for target in (options.json, options.markdown, options.chart, options.operators, options.roofline):
        check_target(target)
    from graspnext.deploy.benchmark import run_benchmark
    from graspnext.deploy.timing.benchmark_report import benchmark_markdown, operators_markdown, roofline_markdown
    from graspnext.deploy.timing.layers import profile_all, roof_all
    from graspnext.deploy.timing.lineup import set_up
    from graspnext.learning.table.provenance import command_line, provenance

    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("graspnext").setLevel(logging.INFO)
    about = provenance(command_line("benchmark", arguments))
    with set_up(options.what, _config(options)) as lineup:
        result = {"provenance": about, **run_benchmark(lineup, _watch)}
        tables = benchmark_markdown(result)
        if str(options.json) != "-":
            sys.stdout.write(tables)
        emit_json(result, options.json)
        if options.markdown is not None:
            write_text(options.markdown, tables)
        if options.chart is not None:
            write_bytes(options.chart, chart(result))
        profiles = profile_all(lineup) if options.operators or options.roofline else []
        if options.operators is not None:
            _write(options.operators, {"provenance": about, "profiles": profiles}, operators_markdown(profiles))
        if options.roofline is not None:
            roofed = roof_all(lineup, profiles)
            _write(options.roofline, {"provenance": about, "rooflines": roofed}, roofline_markdown(roofed))
    return 0


def _config(options: BenchmarkOptions) -> BenchmarkConfig:
    from dataclasses import replace

    from graspnext.deploy.timing.lineup import BenchmarkConfig

    config = BenchmarkConfig(
        size=options.size,
        runtimes=options.runtime,
        precisions=options.precision,
        starts=options.starts,
        threads=options.threads,
        pin=options.pin,
        reference=options.reference,
        seed=options.seed,
        frames=options.frames,
    )
    return replace(config, plan=replace(config.plan, rounds=options.rounds, seconds=options.seconds))


def _watch(words: str, rounds: Iterable[int], total: int) -> Iterable[int]:
    return progress(rounds, total=total, label=f"{words}, rounds")


def _write(target: Path, content: Mapping[str, Any], text: str) -> None:
    """JSON or Markdown, by the name of the file."""
    if target.suffix == ".json" or str(target) == "-":
        emit_json(content, target)
    else:
        write_text(target, text)


def chart(result: Mapping[str, Any]) -> bytes:
    """The PNG of --chart."""
    import io

    from PIL import Image

    from graspnext.viz.latency_chart import Bar, latency_chart

    panels: dict[str, list[Bar]] = {}
    for one in result["results"]:
        split = ("decode", "pre", "network", "post", "wrap") if one["network_ms_p50"] else ("decode", "model", "wrap")
        speedup = one["end_to_end_speedup"]
        bar = Bar(
            one["model"],
            {part: one[f"{part}_ms_p50"] for part in split},
            one["end_to_end_ms_p50"],
            one["end_to_end_ms_p99"],
            speedup["median"] if speedup and one["model"] != result["conditions"]["reference"] else None,
        )
        panels.setdefault(f"{one['runtime']} {one['precision']}", []).append(bar)
    machine, about = result["machine"], result["conditions"]
    picture = latency_chart(
        panels,
        title=f"From a picture of {about['size']} px to its prediction, batch 1",
        below=f"{machine['cpu']}, threads: {about['threads']}",
    )
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()
