"""Latency from a picture's file to its prediction, split into its parts: several networks side by side, form by form.

A form is a runtime and a precision. All networks of a form run in processes of their own (`contestant.py`) and are
called in one interleaved run (`latency.py`): whole, and its three parts as models of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import numpy as np

from graspnext.deploy.timing.contenders import Contender
from graspnext.deploy.timing.contestant import ColdStart, Contestant
from graspnext.deploy.timing.latency import Call, Comparison, compare
from graspnext.deploy.timing.lineup import Form, Lineup
from graspnext.deploy.timing.machine import describe_machine

logger = logging.getLogger(__name__)

Watch = Callable[[str, Iterable[int], int], Iterable[int]]
"""Passes rounds on, given words, them and their number: the place for a progress bar."""
WHOLE_PARTS = ("decode", "model", "wrap", "end_to_end")
SUB_PARTS = ("pre", "network", "post")


def run_benchmark(lineup: Lineup, watch: Watch = lambda _words, rounds, _total: rounds) -> dict[str, Any]:
    """Time everything that was set up.

    Returns:
        `machine`; `conditions` (sizes, threads, pinning, how often); `models`, what each network is; `forms`, rounds
        and load of each; `results`, one a network and form; `left_out`, forms that a network or this processor lacks.

    Raises:
        WorkerError: A process failed.
    """
    config = lineup.config
    results: list[dict[str, Any]] = []
    forms: list[dict[str, Any]] = []
    for form in config.forms:
        contenders = lineup.able(form)
        if contenders:
            found, conditions = _time_form(lineup, form, contenders, watch)
            results += found
            forms.append({"runtime": form[0], "precision": form[1], **conditions})
    left_out = [[one.name, *form] for form in config.forms for one in lineup.contenders if one not in lineup.able(form)]
    return {
        "machine": describe_machine(),
        "conditions": {
            "size": config.size,
            "batch": 1,
            "threads": lineup.threads,
            "pinned_to": list(config.pin),
            "frames": len(lineup.frames),
            "drawn": not config.frames,
            "seed": config.seed,
            "plan": asdict(config.plan),
            "reference": lineup.reference,
        },
        "models": [{"model": one.name, **one.about} for one in lineup.contenders],
        "forms": forms,
        "results": results,
        "left_out": left_out,
    }


def _time_form(
    lineup: Lineup, form: Form, contenders: Sequence[Contender], watch: Watch
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Results of all networks in one form, and how busy the machine was."""
    words = " ".join(form)
    with ExitStack() as stack:
        calls: dict[str, Call] = {}
        warm: dict[str, float] = {}
        fixed: dict[str, dict[str, Any]] = {}
        for contender in contenders:
            logger.info("benchmark: %s: starting %s", words, contender.name)
            contestant, starts = _start(lineup, contender, form)
            stack.callback(contestant.close)
            warm[_key(contender.name, "whole")] = contestant.cold_start.first_s * 1e3
            fixed[contender.name] = {
                "ran_precision": contestant.precision,
                "detections": contestant.detections,
                **_cold_start(starts),
                "peak_memory_mb": contestant.peak_memory_mb(),
            }
            calls[_key(contender.name, "whole")] = contestant.call("whole")
            parts = {} if form[0] == "torch" else contender.parts.get(form[1], {})
            if parts:
                contestant.open_parts(parts)
            calls |= {_key(contender.name, part): contestant.call(part) for part in parts}
        measured = compare(
            calls,
            plan=lineup.config.plan,
            rng=np.random.default_rng(lineup.config.seed),
            watch=lambda rounds, total: watch(words, rounds, total),
            warm=warm,
        )
    reference = lineup.reference if lineup.reference in fixed else None
    results = [
        {
            "model": one.name,
            "runtime": form[0],
            "precision": form[1],
            **fixed[one.name],
            **_times(measured, one.name),
            **_speedups(measured, one.name, reference),
        }
        for one in contenders
    ]
    return results, measured.conditions()


def _start(lineup: Lineup, contender: Contender, form: Form) -> tuple[Contestant, list[ColdStart]]:
    """The process of the last of several cold starts, and the times of all."""
    spec, starts = lineup.spec(contender, form), []
    while True:
        contestant = Contestant(spec)
        starts.append(contestant.cold_start)
        if len(starts) == lineup.config.starts or contestant.cold_start.total_s > lineup.config.long_start_s:
            return contestant, starts
        contestant.close()


def _cold_start(starts: Sequence[ColdStart]) -> dict[str, Any]:
    middle = sorted(starts, key=lambda one: one.total_s)[(len(starts) - 1) // 2].to_dict()
    return {"cold_start_s": middle.pop("total_s"), "cold_start_parts": middle, "cold_starts": len(starts)}


def _times(measured: Comparison, name: str) -> dict[str, Any]:
    """`<part>_ms_p50`, `_p95`, `_p99` of every part, None where it could not be told apart; `calls` of it."""
    values: dict[str, Any] = {"calls": int(measured.times_ms[_key(name, "whole")]["end_to_end"].size)}
    for part in (*SUB_PARTS, *WHOLE_PARTS):
        key = _where(measured, name, part)
        latency = None if key is None else measured.latency(key, part)
        for level in ("p50", "p95", "p99"):
            values[f"{part}_ms_{level}"] = None if latency is None else getattr(latency, f"{level}_ms")
    return values


def _speedups(measured: Comparison, name: str, reference: str | None) -> dict[str, Any]:
    """How many times faster than the reference, network alone and end to end."""
    values: dict[str, Any] = {}
    for part in ("network", "end_to_end"):
        ours = _where(measured, name, part)
        theirs = None if reference is None else _where(measured, reference, part)
        known = ours is not None and theirs is not None
        values[f"{part}_speedup"] = asdict(measured.speedup(ours, theirs, part)) if known else None  # type: ignore[arg-type]
    return values


def _where(measured: Comparison, name: str, part: str) -> str | None:
    """Which call of a network gave a part: its own sub-model, else the whole."""
    for key in (_key(name, part), _key(name, "whole")):
        if part in measured.times_ms.get(key, {}):
            return key
    return None


def _key(name: str, what: str) -> str:
    return f"{name}: {what}"
