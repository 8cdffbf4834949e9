"""What a set of others is to the conversion: scenes by name, and the views of one scene after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from graspnext.data.faults import DatasetFaultError, Fault
from graspnext.data.format import Cup, Split
from graspnext.errors import DatasetError
from graspnext.types import View


@dataclass(frozen=True)
class ForeignScene:
    """One scene of a set: views of the same things, which must share a split."""

    id: str
    """Fit for a folder's name."""
    split: Split
    content: Any = None
    """What the source needs to find it again; picklable."""


@dataclass
class Account:
    """What became of the views of one scene while they were read."""

    refused: list[Fault] = field(default_factory=list)
    """Why views could not be taken over; one or more faults a view."""
    refused_views: list[int] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    """What was odd about views that were taken over."""
    unlabelled_views: list[int] = field(default_factory=list)
    """Views without any labels, as most real ones: not taken over, and no fault."""
    info: dict[str, Any] = field(default_factory=dict)
    """What else is worth keeping of the scene; plain JSON values."""

    def refuse(self, view: int, error: DatasetError) -> None:
        """Put a view that raised an error on the list."""
        self.refused_views.append(view)
        if isinstance(error, DatasetFaultError):
            self.refused += error.faults
        else:
            self.refused.append(Fault("", "", str(error), "see the message"))


class Source(Protocol):
    """A set of others that can be read. Picklable: worker processes get a copy."""

    root: Path
    name: str
    """Of the kind of set: "metagraspnet" or "coco-amodal"."""

    def settings(self) -> dict[str, Any]:
        """All that decides what comes out, as plain JSON values; stored as the recipe."""

    def cup(self) -> Cup:
        """Parameters of the suction cup that its labels are for; empty when it has none."""

    def scenes(self) -> list[ForeignScene]:
        """All scenes in a fixed order.

        Raises:
            DatasetError: There is none, or the set is not of this kind.
        """

    def image_size(self, scenes: list[ForeignScene]) -> tuple[int, int]:
        """(height, width) of the first view that can be found.

        Raises:
            DatasetError: There is none.
        """

    def views(self, scene: ForeignScene, account: Account) -> Iterator[View]:
        """The labelled views of a scene, one at a time; those that cannot be read go to the account."""
