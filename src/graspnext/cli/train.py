"""`graspnext train`: a network from a dataset."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import outlive_readers, say
from graspnext.cli.recipe import take_recipe

DESCRIPTION = """Train a network on a dataset.

Examples:
  graspnext train fast --data bins --out runs/fast
  graspnext train fast --data bins --out runs/fast --resume
  graspnext train fast --data bins --out runs/long --recipe.steps 40000 --recipe.seed 1
  graspnext train resnet50 --data bins --out runs/r50 --recipe paper --backbone-weights resnet50.safetensors
  graspnext train tiny --data bins --out runs/smoke --recipe smoke
  torchrun --nproc-per-node 4 -m graspnext train fast --data bins --out runs/fast

--recipe NAME is where to start from, --recipe.FIELD changes one number of it:
  modern  AdamW, cosine, averaged weights, crops of 320 px at many scales; what is meant when none is named
  paper   what the paper says of its training: SGD, two steps down, views of 1200 px, two a batch
  smoke   30 steps at 96 px in seconds, to see that everything works

A run that was stopped goes on with the same command and --resume, and ends in the same weights.

The batch size counts over all processes. With more processes, or with a batch taken in parts
(--recipe.accumulate), the result is the same up to rounding; but batch norms, which the baselines'
trunks have, see one part at a time. Processes on several machines need the dataset and the run's
folder on a disk that they share. On CPUs torchrun leaves each process one thread
unless OMP_NUM_THREADS in the environment says how many.

Under Linux, huge pages in the environment made training on a CPU a quarter faster where it was measured:
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 (16.1 images/s with them, 12.7 without, one run each)"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the arguments are those after `train`."""
    from graspnext.learning.recipes import Recipe, find_recipe

    name, words = take_recipe(arguments, default="modern")
    start = find_recipe(name)

    @dataclass(frozen=True)
    class Train:
        preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")]
        """Network to train: fast, tiny, ..."""
        data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
        """Dataset folder; its train split is learnt from."""
        out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
        """Folder of the run."""
        recipe: Recipe = start
        """Every number of the training."""
        resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
        """Go on with the run in RUN, or start it where there is none."""
        backbone_weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
        """Start from pretrained weights of the backbone, as graspnext weights writes them; its batch normalisations
        keep the statistics and scales of the file."""

    options = read_options(Train, words, prog="graspnext train", description=DESCRIPTION)

    from graspnext.learning.train import train
    from graspnext.network.backbones.pretrained import with_frozen_norms
    from graspnext.network.presets import find_preset

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    preset = find_preset(options.preset)
    file = options.backbone_weights
    if file is not None:
        preset = with_frozen_norms(preset)
    outlive_readers()
    weights = train(
        preset, data=options.data, out=options.out, recipe=options.recipe, resume=options.resume, weights=file
    )
    say(sys.stdout, f"{weights}\n")
    return 0
