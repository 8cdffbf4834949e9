"""Does memory stay where it is? `python scripts/soak.py --out results/soak`: many frames of several sizes, one process.

Frames are pieces of one drawn picture, another piece each time, so that the number of detections changes too. Memory is
what the process holds in RAM after each frame. Growth is measured from the end of the warm-up, in which each size comes
many times, to the most that is held afterwards. Exit code 1: it grew by more than the limit. Linux only.

Examples:
    python scripts/soak.py --out results/soak
    python scripts/soak.py --model out/fast --precision bf16 --out /tmp/soak
    python scripts/soak.py --frames 2000 --sizes 0 --limit 0.05 --out /tmp/soak   # a size never seen before, each time
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graspnext.errors import ConfigError, GraspNextError
from graspnext.types import Float64Array, UInt8Array

MAX_POINTS = 1000
"""Of the curve that is written; the figures are of all frames."""


@dataclass(frozen=True)
class SoakConfig:
    """What is fed in."""

    frames: int = 5000
    sizes: int = 8
    """Sizes of images that come in turns; 0 = a new one for each frame."""
    largest_px: int = 1200
    """Longest side of an image; the first size is a square of it."""
    warm_up: int = 200
    """Frames after which memory should have settled."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.warm_up < self.frames:
            raise ConfigError("warm_up", self.warm_up, f"above 0 and below the {self.frames} frames")
        if self.sizes < 0:
            raise ConfigError("sizes", self.sizes, "at least 0 (a new size for each frame)")
        if self.largest_px < 96:
            raise ConfigError("largest_px", self.largest_px, "at least 96")


@dataclass(frozen=True, eq=False)
class Soak:
    """What was measured: one value a frame."""

    memory_mb: Float64Array
    """(F,) held after the frame, 1e6 bytes."""
    predict_ms: Float64Array
    """(F,)."""
    detections: Float64Array
    """(F,)."""
    warm_up: int

    @property
    def growth(self) -> float:
        """Share by which memory rose above what was held at the end of the warm-up."""
        return float(self.memory_mb[self.warm_up :].max() / self.memory_mb[self.warm_up - 1] - 1)

    def to_dict(self) -> dict[str, Any]:
        """Figures and the curve, plain."""
        shown = np.unique(np.linspace(0, len(self.memory_mb) - 1, MAX_POINTS).round().astype(np.int64))
        p50, p95, p99 = np.percentile(self.predict_ms[self.warm_up :], (50, 95, 99))
        return {
            "growth": round(self.growth, 5),
            "memory_mb": {
                "first_frame": round(float(self.memory_mb[0]), 1),
                "after_warm_up": round(float(self.memory_mb[self.warm_up - 1]), 1),
                "end": round(float(self.memory_mb[-1]), 1),
                "peak": round(held_mb("VmHWM"), 1),
            },
            "predict_ms": {"p50": round(p50, 2), "p95": round(p95, 2), "p99": round(p99, 2)},
            "detections": {"least": int(self.detections.min()), "most": int(self.detections.max())},
            "curve": {
                "frame": (shown + 1).tolist(),
                "memory_mb": self.memory_mb[shown].round(2).tolist(),
            },
        }


def held_mb(what: str = "VmRSS") -> float:
    """Memory of this process, 1e6 bytes: VmRSS now, VmHWM the most ever."""
    found = re.search(rf"^{what}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, "Linux tells it"
    return int(found[1]) * 1024 / 1e6


def pieces(config: SoakConfig, *, rng: np.random.Generator) -> Any:
    """The images (H, W, 3) uint8, one after the other, without end."""
    side = config.largest_px
    cells = rng.integers(0, 256, (side // 16, side // 16, 3))
    picture = np.kron(cells, np.ones((24, 24, 1), dtype=np.int64)).astype(np.uint8)  # one and a half times as large
    turns = [(side, side), *(_size(side, rng) for _ in range(1, config.sizes))]
    number = 0
    while True:
        height, width = turns[number % len(turns)] if config.sizes else _size(side, rng)
        top, left = (
            int(rng.integers(0, have - need)) for have, need in zip(picture.shape, (height, width), strict=False)
        )
        yield np.ascontiguousarray(picture[top : top + height, left : left + width])
        number += 1


def _size(side: int, rng: np.random.Generator) -> tuple[int, int]:
    height, width = rng.integers(side // 3, side, 2)
    return int(height), int(width)


def soak(predictor: Any, config: SoakConfig) -> Soak:
    """Feed the frames in and watch memory; nothing of a prediction is kept."""
    images = pieces(config, rng=np.random.default_rng(config.seed))
    memory, times, detections = (np.zeros(config.frames) for _ in range(3))
    for number in range(config.frames):
        image = next(images)
        begin = time.perf_counter()
        prediction = predictor.predict(image, min_score=0.3)
        times[number] = (time.perf_counter() - begin) * 1e3
        detections[number] = len(prediction.scores)
        memory[number] = held_mb()
        if (number + 1) % max(1, config.frames // 20) == 0:
            sys.stderr.write(f"{number + 1} frames, {memory[number]:.1f} MB\n")
    return Soak(memory, times, detections, config.warm_up)


def chart(result: Soak, *, title: str, below: str, limit: float) -> UInt8Array:
    """Memory from 0, and its change since the warm-up in per cent: (H, W, 3) uint8, RGB."""
    from graspnext.viz.axes import HEADING_PX, SOFT, Panel, Scale, Sheet, thin

    sheet = Sheet(620, 1000)
    sheet.write(title, (20, 18), anchor="lt", size=HEADING_PX)
    sheet.write(below, (20, 48), anchor="lt", colour=SOFT)
    frames = np.arange(1, len(result.memory_mb) + 1, dtype=np.float64)
    across = Scale(0.0, float(len(frames)))
    change = (result.memory_mb / result.memory_mb[result.warm_up - 1] - 1) * 100
    least, most = min(-100 * limit, -0.5), max(150 * limit, float(change[result.warm_up :].max()) * 1.1)
    panels = (
        (Panel((80, 120, 970, 320), across, Scale(0.0, float(result.memory_mb.max()) * 1.1)), result.memory_mb),
        (Panel((80, 390, 970, 560), across, Scale(least, most)), change),
    )
    titles = ("Memory held, MB", "Change since the warm-up, %")
    for (panel, values), name in zip(panels, titles, strict=True):
        panel.draw(sheet, title=name, below="frames")
        ends = panel.place(np.array([result.warm_up] * 2, dtype=np.float64), np.array([panel.y.low, panel.y.high]))
        sheet.line(ends, SOFT)
        sheet.write("warm-up ends", (float(ends[1, 0]) + 6, panel.box[1] + 8), colour=SOFT)
        sheet.line(thin(panel.place(frames, values)), (31, 119, 180), width=2.0)
    ends = panels[1][0].place(np.array([0.0, len(frames)]), np.full(2, 100 * limit))
    sheet.line(ends, (214, 39, 40))
    sheet.write(
        f"limit {100 * limit:g} %", (float(ends[1, 0]) - 6, float(ends[1, 1]) - 10), colour=(214, 39, 40), anchor="rm"
    )
    return sheet.picture()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parse(arguments)
    try:
        return _run(options)
    except GraspNextError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    from PIL import Image

    from graspnext.deploy.timing.machine import describe_machine
    from graspnext.files import make_folder, write_json
    from graspnext.runtime.predictor import Predictor

    config = SoakConfig(options.frames, options.sizes, options.largest_px, options.warm_up, options.seed)
    more = {"precision": options.precision} if options.precision else {}
    begin = time.perf_counter()
    predictor = Predictor(
        options.model, runtime=options.runtime, trusted=options.trust, num_threads=options.threads, **more
    )
    opened_s = time.perf_counter() - begin
    result = soak(predictor, config)
    about = {
        "model": predictor.card.name,
        "input_size": predictor.card.input_size,
        "runtime": options.runtime,
        "precision": predictor.precision,
        "threads": options.threads,
        "config": asdict(config),
        "opened_s": round(opened_s, 2),
        "limit": options.limit,
    }
    make_folder(options.out)
    found = result.to_dict()
    write_json(options.out / "soak.json", {"schema_version": 1, **about, **found, "machine": describe_machine()})
    kinds = f"{config.sizes} sizes" if config.sizes else "a new size each"
    form = f"{options.runtime} {predictor.precision}, input {predictor.card.input_size} px"
    title = f"{predictor.card.name}: {config.frames} frames, {kinds}"
    figures = f"growth {100 * result.growth:.2f} %, peak {found['memory_mb']['peak']:.0f} MB"
    picture = chart(result, title=title, below=f"{form}: {figures}", limit=options.limit)
    Image.fromarray(picture).save(options.out / "soak.png")
    sys.stdout.write(json.dumps({**about, **{key: value for key, value in found.items() if key != "curve"}}) + "\n")
    return int(result.growth > options.limit)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    default = SoakConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, help="folder of a bundle; the one that ships with the package if left out"
    )
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--precision", default="", help="the bundle's own if left out")
    parser.add_argument("--trust", action="store_true", help="skip the trial of a bundle that is your own")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves them to the runtime")
    parser.add_argument("--frames", type=int, default=default.frames)
    parser.add_argument("--sizes", type=int, default=default.sizes, help="that come in turns; 0: a new one each time")
    parser.add_argument("--largest-px", type=int, default=default.largest_px)
    parser.add_argument("--warm-up", type=int, default=default.warm_up)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--limit", type=float, default=0.01, help="share by which memory may grow")
    parser.add_argument("--out", type=Path, required=True, help="folder for soak.json and soak.png")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
