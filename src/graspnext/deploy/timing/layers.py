"""The layers of all networks of a benchmark, timed and put under roofs: each in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from graspnext.deploy.timing.contestant import run_job
from graspnext.deploy.timing.lineup import Form, Lineup
from graspnext.deploy.timing.roofline import ARITHMETIC, roofline
from graspnext.runtime.card import MODEL_FILE

logger = logging.getLogger(__name__)


def profile_all(lineup: Lineup, *, runs: int = 7) -> list[dict[str, Any]]:
    """Time the layers of all networks in all forms of OpenVINO and ONNX Runtime, each in a process of its own.

    Returns:
        Items of {model, runtime, precision, wall_ms, layers}: see `operators.profile_layers`.
    """
    found = []
    for form in lineup.config.forms:
        for contender in [] if form[0] == "torch" else lineup.able(form):
            logger.info("benchmark: %s: layers of %s", " ".join(form), contender.name)
            model = str(contender.bundles[form[1]] / MODEL_FILE)
            spec = {**lineup.spec(contender, form), "job": "layers", "model": model, "runs": runs}
            found.append({"model": contender.name, "runtime": form[0], "precision": form[1], **run_job(spec)})
    return found


def roof_all(lineup: Lineup, profiles: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Measure the machine's peaks, and put roofs over the layers of `profile_all`."""
    peaks: dict[Form, dict[str, Any]] = {}
    found = []
    for profile in profiles:
        runtime, precision = profile["runtime"], profile["precision"]
        used = {ARITHMETIC.get(layer["precision"], precision) for layer in profile["layers"] if layer["gmacs"]}
        for one in sorted(used - {name for kind, name in peaks if kind == runtime}):
            logger.info("benchmark: %s %s: peaks of the machine", runtime, one)
            spec = {"job": "peaks", "runtime": runtime, "precision": one, "threads": lineup.threads}
            peaks[runtime, one] = run_job(spec)
        about = {name: profile[name] for name in ("model", "runtime", "precision")}
        own = {one: peaks[runtime, one] for one in sorted(used)}
        found.append({**about, **roofline(profile, own, precision=precision)})
    return found
