"""What the stages remember, put together: `table.json`, and from it `table.md` and the charts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from graspnext.files import write_bytes
from graspnext.learning.checkpoint import read_config
from graspnext.learning.run import read_log
from graspnext.learning.table.markdown import markdown
from graspnext.learning.table.paper import AIMS, PAPER
from graspnext.learning.table.protocols import Protocol
from graspnext.learning.table.stages import DATA_FILE, LATENCY_FILE, is_done, read_json, run_folder
from graspnext.types import UInt8Array
from graspnext.viz.table_charts import Point, accuracy_over_latency, learning_curves

TABLE_FILE = "table.json"
MARKDOWN_FILE = "table.md"
CHART_FILE = "accuracy_latency.png"
CURVES_FILE = "learning.png"
_MEASURED = ("metrics", "num_views", "label_gaps", "input_size", "precision", "predict_ms_p50", "time_s", "provenance")
"""Of a measurement: what goes into the table; the rest stays in the row's own file."""
_COST = ("params_m", "gmacs", "activation_mb")


def write_report(out: Path, protocol: Protocol) -> Path:
    """Write the table of the rows that are finished; files whose content stays the same are left alone.

    Returns:
        The file `table.md`.

    Raises:
        RunError: A file of a stage is damaged.
        OutputError: A file cannot be written.
    """
    table = gather(out, protocol)
    _write(out / TABLE_FILE, (json.dumps(table, indent=2, allow_nan=False) + "\n").encode())
    _write(out / MARKDOWN_FILE, markdown(table, chart=CHART_FILE, curves=CURVES_FILE).encode())
    if table["rows"]:
        logs = {row["name"]: read_log(run_folder(out, row["name"])) for row in table["rows"]}
        batch = protocol.recipe.loader.batch_size
        picture = learning_curves(logs, images_per_step=batch, title=f"Losses, weighted: protocol {protocol.name}")
        _write(out / CURVES_FILE, _png(picture))
    if table["latency"]:
        split = protocol.evaluation.splits[0]
        title = f"Scores on {split} against latency: protocol {protocol.name}"
        picture = accuracy_over_latency(points(table, split), title=title, unit=chart_unit(table))
        _write(out / CHART_FILE, _png(picture))
    return out / MARKDOWN_FILE


def gather(out: Path, protocol: Protocol) -> dict[str, Any]:
    """The content of `table.json`."""
    latency = read_json(out / LATENCY_FILE) if (out / LATENCY_FILE).exists() else None
    rows = [_row(out, protocol, row, latency) for row in protocol.rows if is_done(out, protocol, row)]
    data = read_json(out / DATA_FILE)
    del data["path"]  # of this machine alone
    sources = [data, *(row["training"] for row in rows), *([latency] if latency else [])]
    sources += [measured for row in rows for measured in row["evaluation"].values()]
    return {
        "schema_version": 1,
        "protocol": protocol.to_dict(),
        "images_per_row": protocol.images,
        "complete": len(rows) == len(protocol.rows) and latency is not None,
        "commands": list(dict.fromkeys(source["provenance"]["command"] for source in sources)),
        "data": data,
        "rows": rows,
        "latency": None if latency is None else {key: value for key, value in latency.items() if key != "results"},
        "paper": {"dataset": "MetaGraspNet", "device": "Jetson TX2", "size_px": 1200, "rows": PAPER},
        "aims": AIMS,
    }


def _row(out: Path, protocol: Protocol, row: str, latency: dict[str, Any] | None) -> dict[str, Any]:
    folder = out / "rows" / row
    cost = read_json(folder / "cost.json")
    measured = {split: read_json(folder / f"{split}.json") for split in protocol.evaluation.splits}
    return {
        "name": row,
        "cost": {
            **{name: cost["total"][name] for name in _COST},
            **{name: cost[name] for name in ("size", "input_size", "proposals", "detections")},
            "parts": cost["parts"],
        },
        "trunk_norm": read_config(run_folder(out, row))["preset"]["backbone"].get("norm"),
        "training": read_json(folder / "training.json"),
        "evaluation": {
            split: {name: result[name] for name in _MEASURED if name in result} for split, result in measured.items()
        },
        "latency": [one for one in latency["results"] if one["name"] == row] if latency else [],
    }


def chart_form(table: dict[str, Any]) -> tuple[str, str]:
    """Runtime and precision that the chart shows: the first that was measured."""
    first = table["rows"][0]["latency"][0]
    return first["runtime"], first["precision"]


def chart_unit(table: dict[str, Any]) -> str:
    """Words below the chart's latency axes."""
    runtime, precision = chart_form(table)
    return f"ms at {table['latency']['size_px']} px, {runtime} {precision}"


def points(table: dict[str, Any], split: str) -> list[Point]:
    """The rows as points of the chart, with their scores on a split."""
    form = chart_form(table)
    found = []
    for row in table["rows"]:
        time = next(one for one in row["latency"] if (one["runtime"], one["precision"]) == form)
        scores = row["evaluation"][split]["metrics"]
        found.append(Point(row["name"], time["p50_ms"], time["p25_ms"], time["p75_ms"], scores))
    return found


def _png(picture: UInt8Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_bytes(path, content)
