"""Which split a scene belongs to: by scene, never by view, so that no scene is both learnt from and asked about."""

from __future__ import annotations

from graspnext.data.format import Split

_CYCLE: tuple[Split, ...] = ("train", "train", "val", "train", "test")
"""60/20/20. Interleaved, so that a dataset cut short at any scene keeps its shares as nearly as counts allow."""


def split_of(index: int, *, novel: bool) -> Split:
    """The split of one scene.

    Args:
        index: Number of the scene among those of its kind, novel or not: 0, 1, ...; of any five consecutive ones
            three train, one validates, one tests.
        novel: The scene holds only part families that training never sees.

    Returns:
        "novel" for a novel scene, otherwise "train", "val" or "test".

    Raises:
        ValueError: The index is negative.
    """
    if index < 0:
        raise ValueError(f"scene index is {index}; it must be 0 or more")
    return "novel" if novel else _CYCLE[index % len(_CYCLE)]
