"""What a benchmark is made of: networks in all their forms, pictures, and how they are timed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graspnext.deploy.timing.contenders import Contender, Preparation, find_sources, prepare_apart
from graspnext.deploy.timing.latency import Plan
from graspnext.deploy.timing.machine import allowed_cores, can_do, pinned
from graspnext.errors import ConfigError
from graspnext.runtime.images import read_image
from graspnext.types import UInt8Array

Form = tuple[str, str]
"""Runtime and precision."""
FORMS: tuple[Form, ...] = (
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("torch", "fp32"),
    ("torch", "bf16"),
)
"""That networks can be timed in."""
DRAWN_FRAMES = 4


@dataclass(frozen=True)
class BenchmarkConfig:
    """How everything is timed; batch 1 throughout."""

    size: int = 1200
    """Side px of the pictures; presets and runs get the next multiple of 32 as their input."""
    runtimes: tuple[str, ...] = ("openvino",)
    """Names; one with a precision behind it, such as torch:fp32, is timed in that alone."""
    precisions: tuple[str, ...] = ("fp32", "bf16")
    """Those that a runtime, a bundle or this processor does not have are left out, and named."""
    plan: Plan = field(default_factory=lambda: Plan(warmups=1, most_repeats=10, gap_ms=10.0))
    """Of each form."""
    starts: int = 3
    """Processes that are started to time the cold start; one alone where it takes longer than `long_start_s`."""
    long_start_s: float = 5.0
    threads: int = 0
    """Of every runtime; 0 is one for each core that we may use."""
    pin: tuple[int, ...] = ()
    """Cores that all processes are kept on; where the system puts them when empty."""
    reference: str | None = None
    """Network whose times the others are compared with; the first one when None."""
    seed: int = 0
    """Of random weights, drawn pictures, and the order of calls."""
    frames: tuple[Path, ...] = ()
    """Pictures to run on; drawn ones when empty."""

    def __post_init__(self) -> None:
        for name in ("size", "starts"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "at least 1")
        if self.threads < 0:
            raise ConfigError("threads", self.threads, "at least 0")
        known = {runtime for runtime, _ in FORMS} | {":".join(form) for form in FORMS}
        if not set(self.runtimes) <= known or not self.runtimes:
            raise ConfigError(
                "runtime", self.runtimes, "some of: openvino, onnxruntime, torch, each perhaps as torch:fp32"
            )
        if not set(self.precisions) <= {precision for _, precision in FORMS} or not self.precisions:
            raise ConfigError("precision", self.precisions, "some of: fp32, bf16, int8")
        if not self.forms:
            able = ", ".join(f"{runtime}:{precision}" for runtime, precision in FORMS)
            raise ConfigError("precision", self.precisions, f"one that a runtime here has, of {able}")

    @property
    def forms(self) -> list[Form]:
        """In the order of `FORMS`, whatever this processor can do."""
        plain = {form for form in FORMS if form[0] in self.runtimes and form[1] in self.precisions}
        return [form for form in FORMS if form in plain or ":".join(form) in self.runtimes]


@dataclass(frozen=True, eq=False)
class Lineup:
    """All that is timed, prepared: networks, pictures, and how."""

    config: BenchmarkConfig
    contenders: Sequence[Contender]
    frames: Sequence[str]
    """Paths of pictures."""

    @property
    def threads(self) -> int:
        """Of every runtime."""
        return self.config.threads or len(self.config.pin) or len(allowed_cores())

    @property
    def reference(self) -> str:
        """Name of the network that others are compared with."""
        return self.config.reference or self.contenders[0].name

    def able(self, form: Form) -> list[Contender]:
        """Networks that have a form."""
        runtime, precision = form
        if not can_do(*form):
            return []
        if runtime == "torch":
            return [one for one in self.contenders if one.torch_spec is not None]
        return [one for one in self.contenders if precision in one.bundles]

    def spec(self, contender: Contender, form: Form) -> dict[str, Any]:
        """What a process needs to know to run a network in a form."""
        runtime, precision = form
        own = contender.torch_spec if runtime == "torch" else {"bundle": str(contender.bundles[precision])}
        assert own is not None
        common = {"runtime": runtime, "precision": precision, "threads": self.threads, "frames": list(self.frames)}
        return {**common, **own}


@contextmanager
def set_up(words: Sequence[str], config: BenchmarkConfig) -> Iterator[Lineup]:
    """Prepare networks and pictures in a folder that is gone afterwards, on the cores of `config.pin`.

    Args:
        words: Presets, and folders of runs and bundles.
        config: How they will be timed.

    Raises:
        UnknownNameError: A word is none of these.
        ConfigError: There is no such reference, or a core cannot be pinned to.
        InputImageError: A picture cannot be read.
        WorkerError: A bundle is damaged, or a run cannot be read.
    """
    sources = find_sources(words, seed=config.seed)
    names = [source.name for source in sources]
    if config.reference is not None and config.reference not in names:
        raise ConfigError("reference", config.reference, f"one of {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="graspnext-benchmark-") as base, pinned(config.pin):
        frames = _write_frames(Path(base) / "frames", config)
        preparation = Preparation(config.size, {precision for _, precision in config.forms}, frames)
        contenders = [
            prepare_apart(source, Path(base) / f"{index}", preparation) for index, source in enumerate(sources)
        ]
        yield Lineup(config, contenders, frames)


def _write_frames(folder: Path, config: BenchmarkConfig) -> list[str]:
    """Paths of the pictures: the user's own, or drawn ones as PNG files."""
    if config.frames:
        for path in config.frames:
            read_image(path)  # a picture that cannot be read is said before the long work
        return [str(path.resolve()) for path in config.frames]
    folder.mkdir(parents=True)
    paths = []
    for index in range(DRAWN_FRAMES):
        picture = draw_frame(config.size, rng=np.random.default_rng((config.seed, index)))
        paths.append(str(folder / f"{index}.png"))
        Image.fromarray(picture).save(paths[-1])
    return paths


def draw_frame(size: int, *, rng: np.random.Generator) -> UInt8Array:
    """A picture (size, size, 3) uint8 that costs a decoder what a camera's costs: patches of colour, and noise."""
    picture = np.full((size, size, 3), 110.0)
    for _ in range(40):
        height, width = (rng.uniform(0.03, 0.2, 2) * size).astype(np.int64) + 1
        top, left = rng.integers(0, size, 2)
        picture[top : top + height, left : left + width] = rng.uniform(20, 235, 3)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
