"""One line of the report of `graspnext doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    name: str
    ok: bool
    required: bool
    """A missing requirement makes the command fail; a missing option does not."""
    detail: str
    """What was found, or what to do."""
