"""`graspnext train`: a network from a dataset."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from graspnext.cli.recipe import take_recipe

DESCRIPTION = """Train a network on a dataset.

Examples:
  graspnext train fast --data bins --out runs/fast
  graspnext train fast --data bins --out runs/fast --resume
  graspnext train fast --data bins --out runs/long --recipe.steps 40000 --recipe.seed 1
  graspnext train tiny --data bins --out runs/smoke --recipe smoke

--recipe NAME (modern, paper or smoke; modern when left out) is where to start from, --recipe.FIELD changes one number of it.
A run that was stopped goes on with the same command and --resume, and ends in the same weights.
Under Linux, huge pages in the environment made training on a CPU a quarter faster where it was measured:
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 (12.7 against 16.1 images/s, one run each)"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the arguments are those after `train`."""
    from graspnext.learning.recipes import Recipe, find_recipe

    name, words = take_recipe(arguments, default="modern")
    start = find_recipe(name)

    def train(
        preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")],
        data: Annotated[Path, tyro.conf.arg(metavar="DIR")],
        out: Annotated[Path, tyro.conf.arg(metavar="RUN")],
        recipe: Recipe = start,
        resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    ) -> int:
        """Train.

        Args:
            preset: Network to train: fast, tiny, ...
            data: Dataset folder; its train split is learnt from.
            out: Folder of the run.
            recipe: Every number of the training.
            resume: Go on with the run in RUN, or start it where there is none.
        """
        from graspnext.learning.train import train as run_training
        from graspnext.network.presets import find_preset

        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
        weights = run_training(find_preset(preset), data=data, out=out, recipe=recipe, resume=resume)
        sys.stdout.write(f"{weights}\n")
        return 0

    return int(tyro.cli(train, prog="graspnext train", description=DESCRIPTION, args=words))
