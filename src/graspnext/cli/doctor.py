"""`graspnext doctor`: what is installed, which runtimes and renderers work, and what to do about the rest."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import tyro

from graspnext import __version__
from graspnext.cli.output import emit_json
from graspnext.errors import GraspNextError

EXTRAS: dict[str, tuple[str, ...]] = {
    "core": ("numpy", "pillow", "pydantic", "tyro", "rich", "openvino"),
    "onnxruntime": ("onnxruntime",),
    "train": ("torch", "torchvision", "safetensors"),
    "world": ("mujoco", "mujoco-studio", "trimesh", "embreex", "scipy", "manifold3d", "coacd", "pyyaml"),
    "data": ("h5py",),
    "cluster": ("ray", "joblib"),
    "export": ("onnx", "onnxscript"),
}
"""Extra of this package -> the distributions that it brings."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    name: str
    ok: bool
    required: bool
    """A missing requirement makes the command fail; a missing option does not."""
    detail: str
    """What was found, or what to do."""


def packages() -> list[Finding]:
    """Every library that some extra needs."""
    findings = []
    for extra, names in EXTRAS.items():
        for name in names:
            try:
                found, detail = True, version(name)
            except PackageNotFoundError:
                target = "graspnext" if extra == "core" else f"'graspnext[{extra}]'"
                found, detail = False, f"not installed; pip install {target}"
            findings.append(Finding(f"packages: {extra}", name, found, extra == "core", detail))
    return findings


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


CHECKS: tuple[Callable[[], list[Finding]], ...] = (packages, runtimes, renderers)


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
