"""How long a network may take on a computer that is not here: a rule, what it was fitted to, and how far off it is.

The rule is `fixed + operations / (share * peak)`. The peak follows from a data sheet: cores x clock x operations a
cycle. The other two are fitted to times of several networks on one computer: the share of the peak that large
convolutions reach, and the time that does not depend on the operations (layout, elementwise work, look-ups, launches).
That time grows with the pixels and shrinks with the peak of ordinary fp32 arithmetic.

A prediction of this kind is no measurement: `graspnext benchmark` on the device is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Device:
    """A computer, by its data sheet."""

    name: str
    kind: Kind
    gmacs_per_s: dict[str, float]
    """Peak of multiply-accumulates by precision, 1e9 a second; dense, never with structured sparsity."""
    peak_from: str
    """How the peak follows."""


@dataclass(frozen=True)
class Timing:
    """A network that somebody timed."""

    network: str
    gmacs: float
    """Of one picture, 1e9."""
    pixels: int
    """Of the network's input."""
    ms: float


@dataclass(frozen=True)
class Rule:
    """What was fitted."""

    device: Device
    precision: str
    pixels: int
    fixed_ms: float
    """At `pixels` on `device`."""
    share: float
    """Of the peak."""

    def predict(self, device: Device, *, gmacs: float, pixels: int, precision: str | None = None) -> float:
        """Time of a network on a device, ms."""
        slower = self.device.gmacs_per_s["fp32"] / device.gmacs_per_s["fp32"]
        fixed = self.fixed_ms * pixels / self.pixels * slower
        return fixed + gmacs / (self.share * device.gmacs_per_s[precision or self.precision]) * 1e3


def fit_rule(device: Device, precision: str, timings: Sequence[Timing]) -> Rule:
    """Least squares of relative errors through times of networks of one input size; at least two of them."""
    pixels = {timing.pixels for timing in timings}
    assert len(pixels) == 1
    ms = np.array([timing.ms for timing in timings])
    terms = np.stack([np.ones(len(timings)), [timing.gmacs for timing in timings]], axis=1)
    (fixed, per_gmac), *_ = np.linalg.lstsq(terms / ms[:, None], np.ones(len(timings)), rcond=None)
    return Rule(device, precision, pixels.pop(), float(fixed), float(1e3 / per_gmac / device.gmacs_per_s[precision]))


def cpu(name: str, *, cores: int, ghz: float, macs_per_cycle: dict[str, int]) -> Device:
    """A processor; operations a cycle are those of one core."""
    peak = {precision: cores * ghz * macs for precision, macs in macs_per_cycle.items()}
    cycles = ", ".join(f"{macs} ({precision})" for precision, macs in macs_per_cycle.items())
    return Device(name, "cpu", peak, f"{cores} cores x {ghz:g} GHz x {cycles} a cycle")


def ampere(name: str, *, cuda_cores: int, ghz: float) -> Device:
    """A GPU of Jetson Orin: 8 dense fp16 operations a cycle of its tensor cores for each CUDA core."""
    peak = {precision: cuda_cores * ghz * macs for precision, macs in (("fp32", 1), ("fp16", 8))}
    return Device(name, "gpu", peak, f"{cuda_cores} CUDA cores x {ghz:g} GHz x 1 (fp32), 8 (fp16) a cycle")


AVX2 = {"fp32": 16}
AVX512 = {"fp32": 32}
AMX = {"fp32": 32, "bf16": 512}
NEON = {"fp32": 8}

XEON_AMX = cpu("2 cores of a Xeon with AMX", cores=2, ghz=3.8, macs_per_cycle=AMX)
"""Where we measure. It reports 2.6 GHz; dependent multiplications show 3.8."""
ORIN_NANO_SUPER = ampere("Jetson Orin Nano 8 GB, Super mode, GPU", cuda_cores=1024, ghz=1.02)

DEVICES: tuple[Device, ...] = (
    cpu("4 cores of a Xeon with AMX", cores=4, ghz=2.6, macs_per_cycle=AMX),
    cpu("4 cores with AVX-512, no AMX", cores=4, ghz=2.6, macs_per_cycle=AVX512),
    cpu("4 cores with AVX2", cores=4, ghz=3.0, macs_per_cycle=AVX2),
    cpu("Raspberry Pi 5", cores=4, ghz=2.4, macs_per_cycle=NEON),
    cpu("Jetson Orin Nano 8 GB, Super mode, processor", cores=6, ghz=1.7, macs_per_cycle=NEON),
    cpu("Jetson Orin NX 16 GB, processor", cores=8, ghz=2.0, macs_per_cycle=NEON),
    cpu("Jetson AGX Orin 64 GB, processor", cores=12, ghz=2.2, macs_per_cycle=NEON),
    ampere("Jetson Orin Nano 8 GB, 15 W, GPU", cuda_cores=1024, ghz=0.625),
    ORIN_NANO_SUPER,
    ampere("Jetson Orin NX 16 GB, GPU", cuda_cores=1024, ghz=0.918),
    ampere("Jetson AGX Orin 64 GB, GPU", cuda_cores=2048, ghz=1.3),
)
"""What `docs/devices.md` predicts for."""

SPREAD = {"cpu": (0.65, 2.0), "gpu": (0.8, 3.0)}
"""A network takes between so many times what the rule says: all of `CHECKS` do, the upper ends are rounded up."""

_YOLO11_GMACS = {"n": 3.25, "s": 10.75, "m": 34.0, "l": 43.45, "x": 97.45}
"""At 640 px; half of the published floating point operations."""


def _yolo11(**ms: float) -> tuple[Timing, ...]:
    return tuple(Timing(f"YOLO11{size}", _YOLO11_GMACS[size], 640**2, time) for size, time in ms.items())


def _ours(fast: float, resnet50: float) -> tuple[Timing, ...]:
    return (Timing("fast", 51.15, 1216**2, fast), Timing("resnet50", 1282.0, 1216**2, resnet50))


def _yolo11_seg(n: float, s: float, m: float) -> tuple[Timing, ...]:
    larger = (1216 / 640) ** 2
    sizes = (("n", 5.2, n), ("s", 17.75, s), ("m", 61.65, m))
    return tuple(Timing(f"YOLO11{size}-seg", gmacs * larger, 1216**2, ms) for size, gmacs, ms in sizes)


def rules() -> dict[tuple[Kind, str], Rule]:
    """Kind and precision -> rule.

    Source: for processors the networks' own times of one quiet run (results/speed/speed.json); for GPUs the tables of
    Ultralytics' guide to NVIDIA Jetson (TensorRT, 8.3.51).
    """
    return {
        ("cpu", "fp32"): fit_rule(XEON_AMX, "fp32", _ours(fast=284, resnet50=6130)),
        ("cpu", "bf16"): fit_rule(XEON_AMX, "bf16", _ours(fast=65.9, resnet50=958)),
        ("gpu", "fp16"): fit_rule(ORIN_NANO_SUPER, "fp16", _yolo11(n=4.91, s=7.30, m=13.99, l=17.57, x=32.94)),
    }


_ORIN_NX = ampere("Jetson Orin NX 16 GB, GPU", cuda_cores=1024, ghz=0.918)
_ORIN_NANO = ampere("Jetson Orin Nano 8 GB, 15 W, GPU", cuda_cores=1024, ghz=0.625)
_T4 = Device("NVIDIA T4", "gpu", {"fp32": 4050.0, "fp16": 32_500.0}, "NVIDIA's data sheet: 8.1 and 65 TFLOPS")
_PI_5 = cpu("Raspberry Pi 5", cores=4, ghz=2.4, macs_per_cycle=NEON)

CHECKS: tuple[tuple[Device, str, Timing, str], ...] = (
    *((_ORIN_NX, "fp16", one, "Ultralytics") for one in _yolo11(n=4.85, s=7.55, m=14.45, l=18.53, x=35.99)),
    (_ORIN_NANO, "fp16", Timing("YOLOv8n", 4.35, 640**2, 7.3), "the0807/YOLOv8-ONNX-TensorRT"),
    (_ORIN_NANO, "fp16", Timing("YOLOv8m", 39.45, 640**2, 23.6), "the0807/YOLOv8-ONNX-TensorRT"),
    (_T4, "fp16", Timing("Faster R-CNN R50-FPN", 217.0, 800 * 1344, 26.5), "MMDeploy"),
    (_T4, "fp16", Timing("Mask R-CNN R50-FPN", 273.0, 800 * 1344, 58.3), "MMDeploy"),
    (_PI_5, "fp32", Timing("YOLO26n, ONNX Runtime", 2.7, 640**2, 126.9), "Arm, runtime for YOLO26 on Raspberry Pi 5"),
    *((XEON_AMX, "fp32", one, "our own") for one in _yolo11_seg(177, 458, 1439)),
    *((XEON_AMX, "bf16", one, "our own") for one in _yolo11_seg(80, 143, 343)),
    (XEON_AMX, "fp32", Timing("ResNet-50 + FPN trunk", 204.2, 1216**2, 1211.0), "our own"),
    (XEON_AMX, "bf16", Timing("ResNet-50 + FPN trunk", 204.2, 1216**2, 235.0), "our own"),
)
"""Times that no rule was fitted to: device, precision, time, who published it."""
