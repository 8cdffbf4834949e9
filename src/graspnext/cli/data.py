"""`graspnext data`: one file a verb beside this one."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from graspnext.cli.data_check import Check, run_check
from graspnext.cli.data_convert import Convert, run_convert
from graspnext.cli.data_export import Export, run_export
from graspnext.cli.data_report import Report, run_report
from graspnext.cli.data_show import Show, run_show
from graspnext.cli.options import read_options
from graspnext.errors import UnknownNameError

COMMANDS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "check": (Check, run_check),
    "show": (Show, run_show),
    "report": (Report, run_report),
    "convert": (Convert, run_convert),
    "export": (Export, run_export),
}
"""Verb -> its options, whose docstring is its help, and what runs it."""


def usage() -> str:
    """The text of `graspnext data --help`."""
    lines = [f"  {verb:<7}  {(inspect.getdoc(kind) or verb).splitlines()[0]}" for verb, (kind, _) in COMMANDS.items()]
    return "\n".join(
        ["usage: graspnext data COMMAND [OPTIONS]", "", *lines, "", "graspnext data COMMAND --help says more.", ""]
    )


def main(arguments: Sequence[str]) -> int:
    """Run `graspnext data` with the words after it; the exit code."""
    words = list(arguments)
    if not words or words[0] in {"-h", "--help"}:
        sys.stdout.write(usage())
        return 0 if words else 2
    if words[0] not in COMMANDS:
        raise UnknownNameError("data command", words[0], COMMANDS)
    kind, run = COMMANDS[words[0]]
    return run(read_options(kind, words[1:], prog=f"graspnext data {words[0]}"))
