"""A storm of SIGKILLs on training runs, from a process that loads torch once and forks a child for each start.

python kill_driver.py DATA WORK KILLS SEED WORKERS

Trains once without disturbance into WORK/straight, and measures how long a start, a step and a save take. Then trains
the same into WORK/killed_0, killing each start at an instant drawn from the seed: one half at any time, the other while
a checkpoint is being written. A run that reaches its end is followed by another one, until KILLS have struck; the last
one then runs to its end. Writes what it did as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from graspnext.data.augmentation import AugmentationConfig
from graspnext.data.loader import LoaderConfig
from graspnext.learning.checkpoint import load_checkpoint
from graspnext.learning.recipes import Recipe
from graspnext.learning.train import train
from graspnext.network.presets import find_preset

RECIPE = Recipe(
    steps=20,
    device="cpu",
    log_every=1,
    checkpoint_every=1,
    overlays_every=0,
    augmentation=AugmentationConfig(size=64),
    loader=LoaderConfig(batch_size=1, workers=0),
)
POLL_S = 0.0002


@dataclass
class Times:
    """Of the undisturbed run, seconds."""

    start: float
    step: float
    save: float


def begin(data: Path, out: Path, recipe: Recipe) -> int:
    """Start or resume the run in a child; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        train(find_preset("tiny"), data=data, out=out, recipe=recipe, resume=True)
        os._exit(0)
    except BaseException:  # noqa: BLE001 (nothing of the parent may run on in the child)
        traceback.print_exc()
        os._exit(1)


def has_ended(child: int) -> bool:
    """Whether a child has ended by itself; it must have ended well."""
    ended, status = os.waitpid(child, os.WNOHANG)
    assert not ended or os.waitstatus_to_exitcode(status) == 0, "a start failed"
    return bool(ended)


def saving(out: Path, child: int) -> bool:
    """Whether that process has a checkpoint half written."""
    folder = out / "checkpoint"
    return folder.exists() and any(f".{child}.part" in path.name for path in folder.iterdir())


def measure(data: Path, out: Path, recipe: Recipe) -> Times:
    """Run undisturbed, and see how long its parts take."""
    began = time.monotonic()
    child = begin(data, out, recipe)
    first, spans, since = 0.0, [], 0.0
    while not has_ended(child):
        now, busy = time.monotonic(), saving(out, child)
        if busy and not since:
            since, first = now, first or now - began
        elif since and not busy:
            spans.append(now - since)
            since = 0.0
        time.sleep(POLL_S)
    steps = (time.monotonic() - began - first) / recipe.steps
    return Times(start=first, step=steps, save=sorted(spans)[len(spans) // 2])


def strike(data: Path, out: Path, recipe: Recipe, times: Times, *, rng: random.Random, in_save: bool) -> str:
    """Start once and kill: "saving" if that left a checkpoint half written, "any" if not, "ended" if too late."""
    child = begin(data, out, recipe)
    if in_save:
        for number in range(rng.choice((1, 2))):  # while the first or second checkpoint of this start is written
            while number and saving(out, child):
                time.sleep(POLL_S)
            while not saving(out, child):
                if has_ended(child):
                    return "ended"
                time.sleep(POLL_S)
        time.sleep(rng.uniform(0, times.save))
    else:
        time.sleep(rng.uniform(0, times.start + 2 * times.step))
    if has_ended(child):
        return "ended"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    load_checkpoint(out)  # whole, or not there yet
    return "saving" if saving(out, child) else "any"


def main(data: Path, work: Path, kills: int, seed: int, workers: int) -> None:
    """Run all of it."""
    torch.set_num_threads(1)  # and nothing is computed here: a process with a pool of threads must not fork
    rng = random.Random(seed)
    recipe = replace(RECIPE, loader=LoaderConfig(batch_size=1, workers=workers))
    times = measure(data, work / "straight", recipe)
    struck, run = {"any": 0, "saving": 0}, 0
    for _ in range(10 * kills):
        if sum(struck.values()) == kills:
            break
        in_save = struck["saving"] < struck["any"]
        what = strike(data, work / f"killed_{run}", recipe, times, rng=rng, in_save=in_save)
        if what == "ended":
            run += 1
        elif what == "saving" or not in_save:  # a blow meant for a save that fell beside it is not counted
            struck["saving" if in_save else "any"] += 1
    child = begin(data, work / f"killed_{run}", recipe)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the last start failed"
    report = {"struck": struck, "runs": run + 1, "times_s": vars(times)}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
