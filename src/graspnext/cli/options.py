"""Options of a command from its words; values out of their range end in one line, as all other bad input does."""

from __future__ import annotations

import inspect
import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import TypeVar

import tyro

from graspnext.errors import GraspNextError

Options = TypeVar("Options")


def read_options(
    kind: type[Options],
    words: Sequence[str],
    *,
    prog: str,
    description: str | None = None,
    default: Options | None = None,
) -> Options:
    """Parse the words after a command's name.

    Args:
        kind: Dataclass of the options.
        words: What the user wrote.
        prog: The command, as help shows it.
        description: Text of its help; the docstring of the dataclass, with its examples, when None.
        default: Where the values start from; the dataclass's own when None.

    Raises:
        GraspNextError: A dataclass refused a value. The parser alone would draw a box around it, cut at 80 columns.
        SystemExit: Help was asked for (0), or the words are no options of this command (2, explained in a box).
    """

    def parse() -> Options:
        start = tyro.MISSING_NONPROP if default is None else default
        text = description or inspect.getdoc(kind)  # the parser would leave out a docstring's examples
        return tyro.cli(kind, prog=prog, description=text, args=list(words), default=start)

    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            return parse()
    except SystemExit as ended:
        cause: BaseException | None = ended
        while cause is not None:
            if isinstance(cause, GraspNextError):
                raise cause from None
            cause = cause.__context__
    return parse()  # once more, to be seen
