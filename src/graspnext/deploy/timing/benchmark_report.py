"""A benchmark for people: tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Sequence[str]
PARTS = {"decode": "decode", "pre": "pre", "network": "network", "post": "post", "wrap": "wrap"}
"""Parts in the order of time -> heading."""
MOST_LAYERS = 60
"""Rows of a table of layers; the rest is one line."""


def benchmark_markdown(result: Mapping[str, Any]) -> str:
    """Tables of `run_benchmark`: times by part, memory and starts, networks, conditions."""
    pieces = ["# Latency", _conditions(result)]
    for form in result["forms"]:
        rows = [one for one in result["results"] if _form(one) == _form(form)]
        pieces += [f"## {form['runtime']}, {form['precision']}", _load(form), _times(rows), _footprint(rows)]
    pieces += ["## Networks", _models(result["models"], result["results"])]
    if result["left_out"]:
        said = ", ".join(" ".join(one) for one in result["left_out"])
        pieces.append(f"Left out, because the network or this processor does not have it: {said}.")
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _conditions(result: Mapping[str, Any]) -> str:
    machine, about = result["machine"], result["conditions"]
    pinned = f", pinned to cores {_words(about['pinned_to'])}" if about["pinned_to"] else ", not pinned"
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    pictures = f"drawn PNG pictures of {about['size']}x{about['size']} px" if about["drawn"] else "given pictures"
    instructions = ", ".join(f"{name}: {found}" for name, found in machine["instructions"].items() if found)
    threads = f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
    return (
        f"{machine['cpu']} ({instructions}), {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"{threads}{pinned}; {machine['system']}, Python {machine['python']}, {libraries}.\n\n"
        f"Batch 1, {about['frames']} {pictures}. Milliseconds, median (p95, p99). *end to end* is from a picture's "
        "file to its prediction: decode, the exported model, and the wrapping of its outputs. *pre*, *network* and "
        "*post* are the parts of that model, each timed as a model of its own in the same run, so that *network* "
        "compares with published network times; in torch they are stretches of one call. Whatever was timed in one "
        "form was called in one run, round by round, in a new random order. Times faster than "
        f"`{about['reference']}`: median and quartiles of the ratios within a round.\n\n"
        "How many detections a picture holds hardly matters: every network always computes the same number of "
        "proposals and of rows of its result, and all rows that are not padding are wrapped, whatever their score. "
        "Random weights are as fast as trained ones, but for suppression, which is part of the network's time."
    )


def _load(form: Mapping[str, Any]) -> str:
    others = form["other_cores"]
    busy = "" if others is None else f"; other programs kept {others} cores busy"
    return (
        f"{form['rounds']} rounds. Load of the machine before {form['load_before']}, after {form['load_after']}{busy}."
    )


def _times(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["network", *PARTS.values(), "end to end", "p99 / p50", "times faster, network", "end to end", "calls"]
    lines = []
    for row in rows:
        whole = row["end_to_end_ms_p99"] / row["end_to_end_ms_p50"]
        name = (
            row["model"] if row["ran_precision"] == row["precision"] else f"{row['model']} (ran {row['ran_precision']})"
        )
        speedups = [_speedup(row["network_speedup"]), _speedup(row["end_to_end_speedup"])]
        lines.append(
            [
                name,
                *(_latency(row, part) for part in (*PARTS, "end_to_end")),
                f"{whole:.2f}",
                *speedups,
                str(row["calls"]),
            ]
        )
    return grid(head, lines)


def _footprint(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["network", "cold start, s", "imports", "open", "first picture", "starts", "peak memory, MB"]
    lines = []
    for row in rows:
        parts = row["cold_start_parts"]
        stages = [f"{parts[name]:.2f}" for name in ("imports_s", "open_s", "first_s")]
        lines.append(
            [
                row["model"],
                f"{row['cold_start_s']:.2f}",
                *stages,
                str(row["cold_starts"]),
                f"{row['peak_memory_mb']:.0f}",
            ]
        )
    return grid(head, lines)


def _models(models: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> str:
    head = ["network", "what", "weights", "input px", "parameters, M", "GMACs", "proposals", "rows", "rows filled"]
    lines = []
    for model in models:
        filled = {row["detections"] for row in results if row["model"] == model["model"]}
        spread = "" if not filled else str(min(filled)) if len(filled) == 1 else f"{min(filled)} to {max(filled)}"
        named = [str(model[name]) for name in ("model", "kind", "weights", "input_size")]
        gmacs = "" if model["gmacs"] is None else f"{model['gmacs']:.1f}"
        lines.append([*named, f"{model['params_m']:.2f}", gmacs, str(model["proposals"]), str(model["rows"]), spread])
    return grid(head, lines)


def operators_markdown(every: Sequence[Mapping[str, Any]]) -> str:
    """Tables of layers by their time, one a network and form: items of {model, runtime, precision, wall_ms, layers}."""
    pieces = ["# Layers by their time", "As the runtime executes them, after it has merged what it merges; medians."]
    for one in every:
        layers = sorted(one["layers"], key=lambda layer: -layer["ms"])
        total = sum(layer["ms"] for layer in layers)
        pieces += [
            f"## {_title(one)}",
            f"{len(layers)} layers, {total:.1f} ms together; whole calls took {one['wall_ms']:.1f} ms meanwhile.",
            _layer_table(layers, total),
        ]
    return "\n\n".join(pieces) + "\n"


def _layer_table(layers: Sequence[Mapping[str, Any]], total: float) -> str:
    head = ["ms", "share", "layer", "kind", "kernel", "output", "GMACs", "MB"]
    lines = [
        [
            f"{layer['ms']:.3f}",
            f"{layer['ms'] / total:.1%}",
            f"`{layer['name']}`",
            layer["kind"],
            layer["implementation"],
            _size(layer["output"]),
            f"{layer['gmacs']:.3f}",
            f"{layer['mb']:.2f}",
        ]
        for layer in layers[:MOST_LAYERS]
    ]
    rest = sum(layer["ms"] for layer in layers[MOST_LAYERS:])
    if rest:
        lines.append([f"{rest:.3f}", f"{rest / total:.1%}", f"{len(layers) - MOST_LAYERS} more", *[""] * 5])
    return grid(head, lines)


def roofline_markdown(every: Sequence[Mapping[str, Any]]) -> str:
    """Tables of what each layer could take at least and of what it loses: items of `roofline`, with their form."""
    pieces = [
        "# Roofline by layer",
        "The roof of a layer is the larger of its multiply-accumulates at the peak that was measured (the quickest of "
        "large convolutions and products in the same runtime and precision) and of its bytes, read and written once "
        "each, at the bandwidth that was measured (the quickest of arrays of several sizes, read and written). What a "
        "layer takes beyond it is lost. Below 0: its data was still in a cache.",
    ]
    for one in every:
        total = one["total"]
        pieces += [
            f"## {_title(one)}",
            f"Peak {_peaks(one)}. Layers together {total['measured_ms']:.1f} ms, their roofs "
            f"{total['roof_ms']:.1f} ms, lost {total['lost_ms']:.1f} ms. Whole calls took {one['wall_ms']:.1f} ms "
            f"while layers were timed, {one['between_ms']:.1f} ms of them between layers.",
            "Where the lost time goes:",
            _sum_table("cause", one["causes"]),
            _sum_table("part", one["parts"]),
            _sum_table("kind", one["kinds"]),
            _roofed_table(one["layers"]),
        ]
    return "\n\n".join(pieces) + "\n"


def _peaks(one: Mapping[str, Any]) -> str:
    compute = ", ".join(f"{peak['gmacs_per_s']['best']:.0f} GMACs/s in {name}" for name, peak in one["peaks"].items())
    return f"{compute}; {max(peak['gb_per_s']['best'] for peak in one['peaks'].values()):.1f} GB/s"


def _sum_table(name: str, sums: Sequence[Mapping[str, Any]]) -> str:
    head = [name, "layers", "GMACs", "MB", "roof ms", "measured ms", "lost ms"]
    lines = [
        [
            one["name"],
            str(one["layers"]),
            f"{one['gmacs']:.2f}",
            f"{one['mb']:.1f}",
            *(f"{one[key]:.2f}" for key in ("roof_ms", "measured_ms", "lost_ms")),
        ]
        for one in sums
    ]
    return grid(head, lines)


def _roofed_table(layers: Sequence[Mapping[str, Any]]) -> str:
    head = ["lost ms", "measured", "compute", "memory", "bound", "layer", "kind", "output", "GMACs", "MB"]
    lines = [
        [
            *(f"{layer[key]:.3f}" for key in ("lost_ms", "measured_ms", "compute_ms", "memory_ms")),
            layer["bound"],
            f"`{layer['name']}`",
            layer["kind"],
            _size(layer["output"]),
            f"{layer['gmacs']:.3f}",
            f"{layer['mb']:.2f}",
        ]
        for layer in layers[:MOST_LAYERS]
    ]
    rest = layers[MOST_LAYERS:]
    if rest:
        sums = [
            f"{sum(layer[key] for layer in rest):.3f}" for key in ("lost_ms", "measured_ms", "compute_ms", "memory_ms")
        ]
        lines.append([*sums, "", f"{len(rest)} more", *[""] * 4])
    return grid(head, lines)


def grid(head: Row, lines: Sequence[Row]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def _latency(row: Mapping[str, Any], part: str) -> str:
    p50, p95, p99 = (row[f"{part}_ms_{level}"] for level in ("p50", "p95", "p99"))
    return "" if p50 is None else f"{_ms(p50)} ({_ms(p95)}, {_ms(p99)})"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _speedup(values: Mapping[str, float] | None) -> str:
    return "" if values is None else f"{values['median']:.2f} ({values['p25']:.2f} to {values['p75']:.2f})"


def _form(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["runtime"], one["precision"]


def _title(one: Mapping[str, Any]) -> str:
    return f"{one['model']}: {one['runtime']}, {one['precision']}"


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _words(values: Sequence[object]) -> str:
    return " ".join(map(str, values))
