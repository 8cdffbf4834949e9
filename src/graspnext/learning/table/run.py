"""The paper's table under one protocol: start reading at `make_table`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from graspnext.data.reader import Dataset
from graspnext.errors import UnknownNameError
from graspnext.learning.table.protocols import Protocol
from graspnext.learning.table.report import write_report
from graspnext.learning.table.stages import (
    Tools,
    check_splits,
    cost_row,
    evaluate_row,
    is_done,
    open_table,
    take_data,
    time_rows,
    train_row,
)

logger = logging.getLogger(__name__)


def make_table(
    protocol: Protocol, out: Path, *, data: Path | None, rows: Sequence[str] | None, resume: bool, tools: Tools
) -> Path:
    """Train and measure the rows of a table, and write it.

    Every stage is remembered in `out` (see `learning.table.stages`), so that a table that was stopped anywhere goes on
    where it was. The table is written anew after each row; latency is measured once all rows are there, in one run.

    Args:
        protocol: What all rows share.
        out: Folder of the table.
        data: Folder of a dataset with train, test and novel; one is made in `out` when None.
        rows: Which rows to work on now; all when None.
        resume: Go on with the table in `out` where there is one.
        tools: What comes from elsewhere.

    Returns:
        The file `table.md`; `table.json` and the charts lie beside it.

    Raises:
        UnknownNameError: One of `rows` is not among the protocol's.
        RunError: `out` holds a table and `resume` is false, or one of other settings or another dataset.
        DatasetError: The dataset cannot be read, or lacks a split.
    """
    for row in rows or ():
        if row not in protocol.rows:
            raise UnknownNameError("row", row, protocol.rows)
    if data is not None:
        check_splits(data, protocol)  # before anything is written
    open_table(out, protocol, resume=resume)
    folder = take_data(out, protocol, data, tools)
    dataset = Dataset(folder)
    for row in rows or protocol.rows:
        train_row(out, protocol, row, folder, tools)
        cost_row(out, protocol, row)
        evaluate_row(out, protocol, row, dataset, tools)
        write_report(out, protocol)
        logger.info("%s: done", row)
    missing = [row for row in protocol.rows if not is_done(out, protocol, row)]
    if missing:
        logger.info("latency is measured when all rows are there; still to come: %s", ", ".join(missing))
    else:
        time_rows(out, protocol, protocol.rows, dataset, tools)
    return write_report(out, protocol)
