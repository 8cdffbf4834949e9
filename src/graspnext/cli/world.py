"""`graspnext world make`: labelled bin scenes from a recipe and a seed."""

import dataclasses
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import tyro

from graspnext.cli.options import read_options
from graspnext.cli.output import check_target, emit_json, progress
from graspnext.cli.recipe import take_recipe
from graspnext.errors import ConfigError, UnknownNameError
from graspnext.world.cups_file import read_cups
from graspnext.world.generate import GenerateConfig, GenerateReport, generate
from graspnext.world.recipes import RECIPES, Recipe, find_recipe
from graspnext.world.scene_task import SceneResult

DESCRIPTION = """Make a dataset of labelled bin scenes.

Examples:
  graspnext world make --recipe bench --out bench --seed 1
  graspnext world make --recipe bench --out bench --seed 1 --resume
  graspnext world make --out bins --scenes 500 --views 4 --size 512 --seed 1 --workers 2
  graspnext world make --out dark --scenes 50 --recipe.look.ambient-lux 2000 8000 --recipe.cup.radius-m 0.01
  graspnext world make --out bins --scenes 500 --seed 1 --cups cups.yaml
  graspnext world make --recipe paper --out paper --workers ray:head-node:6379
  graspnext world make --parts cad --out mine --scenes 100

--recipe NAME (RECIPE_NAMES; default when left out) is where to start from, --recipe.FIELD changes one value of
it (the long lists at the end). The same recipe and seed give the same files, with one worker or many, here or on a
cluster. A run that was stopped or killed goes on with the same command and --resume, and so does one that is to have
more scenes. A scene that cannot be made is noted in dataset.json, and the others are made. Of a hundred scenes 54 are
for training, 18 for validation, 18 for testing, and 10 are "novel": these hold only part families that no other does.

Exit codes: 0 done, 2 bad input, full disk or too many failed scenes, 130 interrupted, 143 terminated.""".replace(
    "RECIPE_NAMES", ", ".join(RECIPES)
)

SUBCOMMANDS = ("make", "parts")


def main(arguments: Sequence[str]) -> int:
    """Run the command; the arguments are those after `world`."""
    words = list(arguments)
    if not words or words[0] in {"-h", "--help"}:
        sys.stdout.write("usage: graspnext world COMMAND [OPTIONS]\n\n  make   make a dataset of labelled bin scenes\n")
        sys.stdout.write("  parts  say what becomes of your own mesh files as parts\n\n")
        sys.stdout.write("graspnext world COMMAND --help says more.\n")
        return 0 if words else 2
    if words[0] not in SUBCOMMANDS:
        raise UnknownNameError("world command", words[0], SUBCOMMANDS)
    if words[0] == "parts":
        from graspnext.cli import world_parts

        return world_parts.main(words[1:])
    return make(words[1:])


@dataclass(frozen=True)
class MakeOptions:
    """Options of `world make`."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of the dataset; new or empty, unless resumed."""
    scenes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of scenes; the recipe's when left out."""
    views: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Pictures of each scene; the recipe's when left out."""
    size: Annotated[int | None, tyro.conf.arg(metavar="PX")] = None
    """Height and width of the pictures, px; the recipe's when left out."""
    seed: int = 0
    """Any whole number from 0; another one gives other scenes."""
    workers: Annotated[str | None, tyro.conf.arg(metavar="N|ray[:HOST:PORT]")] = None
    """Processes at a time; one for each core when left out. ray:HOST:PORT = a Ray cluster, ray = one started here."""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep the whole scenes in DIR and make the rest."""
    renderer: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """filament, filament-gpu, filament-cpu or classic; the best that works here when left out."""
    parts: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of your own meshes: scenes hold these parts (docs/parts.md). Files that cannot be used are left out."""
    units: Annotated[Literal["mm", "m"] | None, tyro.conf.arg(metavar="mm|m")] = None
    """Unit of all meshes in DIR; found out from their size when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write counts and seconds per view here; - is standard output."""
    cups: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """YAML of further cups, each with suction maps of its own: NAME: {radius_m: 0.02}, fields as recipe.cup has."""
    recipe: Recipe = field(default_factory=Recipe)
    """Every number of the world."""


def make(words: list[str]) -> int:
    """Run `world make`."""
    name, words = take_recipe(words, default="default")
    start = MakeOptions(tyro.MISSING, recipe=find_recipe(name))
    options = read_options(MakeOptions, words, prog="graspnext world make", description=DESCRIPTION, default=start)
    recipe = dataclasses.replace(
        options.recipe,
        scenes=options.recipe.scenes if options.scenes is None else options.scenes,
        views=options.recipe.views if options.views is None else options.views,
        image_size=options.recipe.image_size if options.size is None else (options.size, options.size),
        more_cups=options.recipe.more_cups if options.cups is None else read_cups(options.cups, options.recipe.cup),
    )
    check_target(options.json)
    workers, ray = take_workers(options.workers)
    if options.parts is not None:
        recipe = _with_parts(recipe, options.parts, options.units, workers)
    elif options.units is not None:
        raise ConfigError("units", options.units, "given together with --parts")
    config = GenerateConfig(
        seed=options.seed, workers=workers, ray=ray, resume=options.resume, renderer=options.renderer
    )

    def watch(items: Iterable[SceneResult], total: int) -> Iterable[SceneResult]:
        return progress(items, total=total, label="scenes")

    try:
        with _heard(signal.SIGTERM):
            report = generate(options.out, recipe=recipe, config=config, watch=watch)
    except TerminatedError:
        sys.stderr.write("terminated\n")
        return 128 + signal.SIGTERM
    emit_json(report.to_dict(), options.json)
    if str(options.json) != "-":
        sys.stdout.write(summary(options.out, report) + "\n")
    return 0


def _with_parts(recipe: Recipe, folder: Path, units: str | None, workers: int | None) -> Recipe:
    """The recipe with the user's parts; says on standard error what was found, and what that means for the splits."""
    from graspnext.cli.world_parts import summary as of_folder
    from graspnext.cli.world_parts import watch
    from graspnext.world.parts.imported.folder import read_folder

    read = read_folder(folder, units=units, workers=workers, watch=watch)
    with_parts = recipe.with_imported(read.parts())
    for outcome in read.refused:
        sys.stderr.write(f"{outcome.file}: {outcome.problem}; {outcome.advice}\n")
    sys.stderr.write(of_folder(read) + "\n")
    if recipe.novel_every and not with_parts.novel_every:
        sys.stderr.write("no part is marked `novel: true` in parts.yaml: no scene is novel\n")
    return with_parts


class TerminatedError(BaseException):
    """The process was asked to end; like `KeyboardInterrupt`, nothing but the command itself handles it."""


@contextmanager
def _heard(number: signal.Signals) -> Iterator[None]:
    """Let a signal end the block like an interruption from the keyboard, so that what was made is listed."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TerminatedError

    before = signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, before)


def take_workers(word: str | None) -> tuple[int | None, str | None]:
    """Number of processes here, and address of a Ray cluster, from the value of `--workers`.

    Raises:
        ConfigError: It is neither a number nor `ray[:ADDRESS]`.
    """
    if word is None:
        return None, None
    name, _, address = word.partition(":")
    if name == "ray":
        return None, address
    if not (word.isascii() and word.isdecimal() and int(word)):
        raise ConfigError("workers", word, "a whole number from 1, ray, or ray:HOST:PORT")
    return int(word), None


def summary(out: Path, report: GenerateReport) -> str:
    """What was made, what was refused, and where the time went: two or three lines."""
    lines = [
        f"{out}: {report.scenes} scenes made ({report.views} views), {report.kept} kept, "
        f"{report.failed} failed ({report.failed_share:.1%}); {report.wall_s:.1f} s"
    ]
    if report.refused:
        reasons = "; ".join(f"{times} x {reason}" for reason, times in report.refused.most_common())
        lines.append(f"{report.refused.total()} of {report.attempts} attempts refused: {reasons}")
    stages = ", ".join(f"{stage} {value / max(report.views, 1):.3f}" for stage, value in report.seconds.items())
    return "\n".join([*lines, f"seconds a view and process: {stages}"])
