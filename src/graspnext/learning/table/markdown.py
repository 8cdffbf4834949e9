"""`table.md`: the content of `table.json` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {
    "resnet50": "ResNet-50",
    "efficientnet_b0": "EfficientNet-B0",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "fast": "**fast** (ours)",
}
"""Row -> how it is written."""
PAPER_NAMES = {
    "resnet50": "ResNet-GraspNeXt",
    "efficientnet_b0": "EfficientNet-GraspNeXt",
    "mobilenet_v3_large": "MobileNet-GraspNeXt",
    "fast": "Fast GraspNeXt",
}
TASKS = {
    "amodal_box_ap": "amodal box AP",
    "visible_mask_ap": "visible mask AP",
    "amodal_mask_ap": "amodal mask AP",
    "occlusion_accuracy": "occlusion acc.",
    "center_of_mass_ap": "centre-of-mass AP",
    "heatmap_mse": "heatmap MSE",
}
"""Main metric of each task -> head of its column."""
CONTEXT = {"occlusion_f1": "occlusion F1", "matched_share": "found, %"}
"""What the occlusion's accuracy has to be read with: 0 where all parts are called free; over how many it is taken."""


def markdown(table: Mapping[str, Any], *, chart: str, curves: str) -> str:
    """The page.

    Args:
        table: Content of `table.json`.
        chart: File name of the chart of accuracy against latency, beside the page.
        curves: File name of the learning curves.
    """
    protocol = table["protocol"]
    blocks = [
        f"# The table: protocol `{protocol['name']}`",
        f"{_first_upper(protocol['summary'])}. {_shared(table)}",
        _state(table),
        *(_scores(table, split) for split in protocol["evaluation"]["splits"]),
        _cost(table),
        f"![Scores on {protocol['evaluation']['splits'][0]} against latency]({chart})" if table["latency"] else "",
        _training(table),
        f"![Losses against images seen]({curves})" if table["rows"] else "",
        _paper(table),
        _origin(table),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shared(table: Mapping[str, Any]) -> str:
    protocol, data = table["protocol"], table["data"]
    recipe, height = protocol["recipe"], data["image_size"][0]
    changes = f"; presets changed alike: `{_changes(protocol['network'])}`" if protocol["network"] else ""
    return (
        f"Every row: the dataset `{data['recipe']}` (seed {data['seed']}, {data['views']['train']:,} training views of "
        f"{height} px), {table['images_per_row']:,} training images (recipe `{protocol['recipe_name']}`, "
        f"{recipe['steps']:,} steps of {recipe['loader']['batch_size']}, crops of {recipe['augmentation']['size']} px, "
        f"{recipe['precision']}, random initial weights){changes}."
    )


def _changes(values: Mapping[str, Any], before: str = "") -> str:
    """Such as "sampling.mask_rois 4, sampling.box_rois 32"."""
    words = [
        _changes(value, f"{before}{name}.") if isinstance(value, Mapping) else f"{before}{name} {value}"
        for name, value in values.items()
    ]
    return ", ".join(words)


def _state(table: Mapping[str, Any]) -> str:
    if table["complete"]:
        return ""
    there = {row["name"] for row in table["rows"]}
    missing = [f"`{row}`" for row in table["protocol"]["rows"] if row not in there]
    what = f"rows to come: {', '.join(missing)}" if missing else "latency is to come"
    return f"**Not complete: {what}.**"


def _scores(table: Mapping[str, Any], split: str) -> str:
    if not table["rows"]:
        return ""
    measured = table["rows"][0]["evaluation"][split]
    rows = []
    for row in table["rows"]:
        metrics = row["evaluation"][split]["metrics"]
        context = ["-" if metrics[name] is None else f"{100 * metrics[name]:.1f}" for name in CONTEXT]
        rows.append([NAMES.get(row["name"], row["name"]), *_six(metrics), *context])
    novel = ", part families that training never saw" if split == "novel" else ""
    views = "1 view" if measured["num_views"] == 1 else f"{measured['num_views']:,} views"
    line = f"{views}{novel}; input {measured['input_size']} px, {measured['precision']}."
    return f"## Scores on `{split}`\n\n{line}\n\n{_grid(['network', *TASKS.values(), *CONTEXT.values()], rows)}"


def _six(metrics: Mapping[str, Any]) -> list[str]:
    """AP and accuracy in per cent, the error as it is."""
    words = []
    for name in TASKS:
        value = metrics.get(name)
        words.append("-" if value is None else f"{value:.4f}" if name == "heatmap_mse" else f"{100 * value:.1f}")
    return words


def _cost(table: Mapping[str, Any]) -> str:
    rows, latency, aims = table["rows"], table["latency"], table["aims"]
    if not rows:
        return ""
    cost = rows[0]["cost"]
    forms = [(one["runtime"], one["precision"]) for one in rows[0]["latency"]]
    head = ["network", "params, M", "GMACs", *(f"{runtime} {precision}, ms" for runtime, precision in forms)]
    head += [f"times faster, {runtime} {precision}" for runtime, precision in forms]
    lines = []
    for row in rows:
        counted = [f"{row['cost']['params_m']:.1f}", f"{row['cost']['gmacs']:.0f}"]
        times = [f"{one['p50_ms']:.1f} (p95 {one['p95_ms']:.1f})" for one in row["latency"]]
        lines.append([NAMES.get(row["name"], row["name"]), *counted, *times, *map(_speedup, row["latency"])])
    aimed = [f"at most {aims['params_m']}", f"at most {aims['gmacs']}"]
    aimed += ["" for _ in forms] + [f"at least {aims['speedup']}" for _ in forms]
    lines.append([f"*aim for {aims['row']}*", *aimed])
    words = [
        f"Batch 1. MACs at {cost['size']}x{cost['size']}, padded to {cost['input_size']}; each network with its own "
        f"numbers of proposals and detections: "
        + ", ".join(f"{row['name']} {row['cost']['proposals']} and {row['cost']['detections']}" for row in rows)
        + "."
    ]
    if latency:
        words.append(_latency_words(latency))
    return f"## Cost and latency\n\n{' '.join(words)}\n\n{_grid(head, lines)}"


def _speedup(result: Mapping[str, Any]) -> str:
    ratio = result["speedup"]
    return "-" if ratio is None else f"{ratio['median']:.2f} ({ratio['p25']:.2f} to {ratio['p75']:.2f})"


def _latency_words(latency: Mapping[str, Any]) -> str:
    said = (
        f"Latency of the exported model (torch: of the trained one, on a GPU where there is one), resizing "
        f"{latency['size_px']}x{latency['size_px']} pictures to {latency['input_size_px']} and post-processing "
        f"included, {latency['threads']} threads; all rows in one run of {latency['rounds']} rounds in random order; "
        f"median and 95th percentile. "
    )
    if latency["reference"]:
        said += f"Times faster than `{latency['reference']}`: median and quartiles of the ratios within a round. "
    said += f"Load of the machine before {latency['load_before']}, after {latency['load_after']}."
    if latency["left_out"]:
        forms = ", ".join(" ".join(form) for form in latency["left_out"])
        said += f" Not on this machine: {forms}."
    for name, found in latency["agreement"].items():
        if found["faults"]:
            said += f" The exported {name} differs from the trained network: {'; '.join(found['faults'])}."
    return said


def _training(table: Mapping[str, Any]) -> str:
    if not table["rows"]:
        return ""
    head = ["network", "images seen", "training, h", "images/s", "evaluation, min", "finished (UTC)", "commit"]
    lines = []
    for row in table["rows"]:
        training = row["training"]
        evaluation_s = sum(one["time_s"] for one in row["evaluation"].values())
        origin = training["provenance"]
        lines.append(
            [
                NAMES.get(row["name"], row["name"]),
                f"{training['images']:,}",
                f"{training['wall_time_s'] / 3600:.2f}",
                f"{training['images_per_s']:.2f}",
                f"{evaluation_s / 60:.1f}",
                origin["date"].removesuffix("+00:00").replace("T", " "),
                f"`{origin['commit'] or origin['version']}`",
            ]
        )
    swapped = [f"`{row['name']}`" for row in table["rows"] if row["trunk_norm"] == "group"]
    norms = f"Trained, and timed, with group norms, since batches are small: {', '.join(swapped)}." if swapped else ""
    return "\n\n".join(filter(None, ["## What each row took", _machines(table), norms, _grid(head, lines)]))


def _machines(table: Mapping[str, Any]) -> str:
    origins = [row["training"]["provenance"] for row in table["rows"]]
    origins += [table["latency"]["provenance"]] if table["latency"] else []
    said = dict.fromkeys(
        f"{one['hardware']['gpu'] + ', ' if one['hardware']['gpu'] else ''}{one['hardware']['processor']}, "
        f"{one['hardware']['cores']} cores; torch {one['torch']}, Python {one['python']}"
        for one in origins
    )
    return f"Machine: {'; then '.join(said)}. Planned: {table['protocol']['budget']}."


def _paper(table: Mapping[str, Any]) -> str:
    paper = table["paper"]
    head = ["network", *TASKS.values(), "params, M", "GMACs", "TX2, ms"]
    lines = [
        [
            PAPER_NAMES[row],
            *_six(values),
            f"{values['params_m']:g}",
            f"{values['gmacs']:g}",
            f"{values['latency_ms']:g}",
        ]
        for row, values in paper["rows"].items()
    ]
    words = (
        f"From arXiv 2304.11196: **another dataset** ({paper['dataset']}), other weights and another device "
        f"({paper['device']}, {paper['size_px']}x{paper['size_px']}). Only parameters and MACs compare directly; what "
        "it calls FLOPs are multiply-accumulates. Between its rows, as between ours, the differences are what counts."
    )
    return f"## The paper's own numbers\n\n{words}\n\n{_grid(head, lines)}"


def _origin(table: Mapping[str, Any]) -> str:
    data = table["data"]
    origin = data["provenance"]
    commands = "\n".join(f"    {command}" for command in table["commands"])
    definitions = (
        "AP: COCO, IoU 0.50:0.95, 100 detections, without classes; occlusion over the parts found, by a box of IoU "
        "0.5; its F1 is that of the occluded ones; centre of mass: keypoint AP, k = 0.2; heatmap: mean squared error "
        "at stride 4 (docs/metrics.md). Per cent, but for the heatmap."
    )
    return (
        f"## How it was made\n\n{commands}\n\n"
        f"Dataset: {data['scenes']:,} scenes x {data['views_per_scene']} views by {data['generator']}, manifest "
        f"SHA-256 `{data['sha256'][:16]}`; read at commit `{origin['commit'] or origin['version']}`. "
        f"Every number of the protocol and of each measurement is in `table.json`.\n\n{definitions}"
    )


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
