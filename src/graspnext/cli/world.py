"""`graspnext world make`: labelled bin scenes from a recipe and a seed."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from graspnext.cli.output import emit_json, progress
from graspnext.cli.recipe import take_recipe
from graspnext.errors import UnknownNameError
from graspnext.world.generate import GenerateConfig, GenerateReport, SceneReport, generate
from graspnext.world.recipes import Recipe, find_recipe

DESCRIPTION = """Make a dataset of labelled bin scenes.

Examples:
  graspnext world make --out bins --scenes 500 --views 4 --size 512 --seed 1 --workers 2
  graspnext world make --out bins --scenes 500 --views 4 --size 512 --seed 1 --workers 2 --resume
  graspnext world make --out quick --scenes 5 --recipe smoke
  graspnext world make --out dark --scenes 50 --recipe.look.ambient-lux 2000 8000 --recipe.cup.radius-m 0.01

--recipe NAME (default or smoke; default when left out) is where to start from, --recipe.FIELD changes one value of
it. The same recipe and seed give the same files, with one worker or many. A run that was stopped goes on with the
same command and --resume. Of ten scenes six are for training, two for validation, one for testing, and one is "novel":
it holds only part families that the others never do."""

SUBCOMMANDS = ("make",)


def main(arguments: Sequence[str]) -> int:
    """Run the command; the arguments are those after `world`."""
    words = list(arguments)
    if not words or words[0] in {"-h", "--help"}:
        sys.stdout.write("usage: graspnext world make [OPTIONS]\n\n  make  make a dataset of labelled bin scenes\n\n")
        sys.stdout.write("graspnext world make --help says more.\n")
        return 0 if words else 2
    if words[0] not in SUBCOMMANDS:
        raise UnknownNameError("world command", words[0], SUBCOMMANDS)
    return make(words[1:])


@dataclass(frozen=True)
class MakeOptions:
    """Options of `world make`."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset; new or empty, unless resumed."""
    scenes: int
    """Number of scenes."""
    views: int | None = None
    """Pictures of each scene; the recipe's when left out."""
    size: int | None = None
    """Height and width of the pictures, px; the recipe's when left out."""
    seed: int = 0
    """Any whole number from 0; another one gives other scenes."""
    workers: int = 1
    """Processes at a time."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep the whole scenes in DIR and make the rest."""
    renderer: str | None = None
    """filament or classic; the best that works here when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write counts and seconds per view here; - is standard output."""
    recipe: Recipe = field(default_factory=Recipe)
    """Every number of the world."""


def make(words: list[str]) -> int:
    """Run `world make`."""
    name, words = take_recipe(words, default="default")
    start = MakeOptions(tyro.MISSING, tyro.MISSING, recipe=find_recipe(name))
    options = tyro.cli(MakeOptions, default=start, prog="graspnext world make", description=DESCRIPTION, args=words)
    recipe = dataclasses.replace(
        options.recipe,
        views=options.recipe.views if options.views is None else options.views,
        image_size=options.recipe.image_size if options.size is None else (options.size, options.size),
    )
    config = GenerateConfig(
        options.scenes,
        seed=options.seed,
        workers=options.workers,
        resume=options.resume,
        renderer=options.renderer,
    )

    def watch(items: Iterable[SceneReport], total: int) -> Iterable[SceneReport]:
        return progress(items, total=total, label="scenes")

    report = generate(options.out, recipe=recipe, config=config, watch=watch)
    emit_json(report.to_dict(), options.json)
    if str(options.json) != "-":
        sys.stdout.write(summary(options.out, report) + "\n")
    return 0


def summary(out: Path, report: GenerateReport) -> str:
    """Two lines: what was made, and where the time went."""
    stages = ", ".join(f"{stage} {value / max(report.views, 1):.3f}" for stage, value in report.seconds.items())
    return (
        f"{out}: {report.scenes} scenes made ({report.views} views), {report.kept} kept, "
        f"{report.retries} tried again; {report.wall_s:.1f} s\n"
        f"seconds a view and process: {stages}"
    )
