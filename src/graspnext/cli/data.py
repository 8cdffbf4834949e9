"""`graspnext data`: one file a verb beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tyro

from graspnext.cli.data_check import Check, run_check
from graspnext.cli.data_convert import Convert, run_convert
from graspnext.cli.data_export import Export, run_export
from graspnext.cli.data_report import Report, run_report
from graspnext.cli.data_show import Show, run_show

COMMANDS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "check": (Check, run_check),
    "show": (Show, run_show),
    "report": (Report, run_report),
    "convert": (Convert, run_convert),
    "export": (Export, run_export),
}
"""Verb -> its options, and what runs it."""


def main(arguments: Sequence[str]) -> int:
    """Run `graspnext data` with the words after it; the exit code."""
    command = tyro.extras.subcommand_cli_from_dict(
        {verb: options for verb, (options, _) in COMMANDS.items()},
        prog="graspnext data",
        description="Find faults in a dataset, look at its labels, sum it up.\n\nExamples:\n"
        "  graspnext data check bins\n  graspnext data show bins --out sheet.png",
        args=list(arguments),
    )
    runs = dict(COMMANDS.values())
    return runs[type(command)](command)
