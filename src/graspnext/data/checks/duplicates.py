"""Finds scenes that stand in a dataset twice: the same picture, nearly the same picture, or the same layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graspnext.data.checks.findings import Findings
from graspnext.data.checks.scene import SCENE_FILE, CheckedScene
from graspnext.data.checks.view import Fingerprint
from graspnext.data.format import SCENES_DIR, ManifestEntry
from graspnext.data.reader import files_of

ALIKE_LEVELS = 3
"""Two pictures whose mean colours differ nowhere by more than this are one picture, stored or compressed anew."""
_ADVICE = "delete one of the two scenes"


def check_duplicates(findings: Findings, scenes: Sequence[CheckedScene]) -> None:
    """Compare all scenes; a picture that stands twice is told once, with the splits on both sides."""
    prints = [one for scene in scenes for one in scene.fingerprints]
    told: set[tuple[str, int]] = set()
    first: dict[str, Fingerprint] = {}
    for one in prints:
        twin = first.setdefault(one.pixels, one)
        if twin is not one:
            told.add((one.entry.scene, one.entry.view))
            _say(findings, one.entry, twin.entry, "the picture is that of")
    for one, twin in _alike([one for one in prints if (one.entry.scene, one.entry.view) not in told]):
        _say(findings, one.entry, twin.entry, "the picture is nearly that of")
    layouts: dict[str, CheckedScene] = {}
    for scene in scenes:
        twin_scene = layouts.setdefault(scene.layout, scene) if scene.layout else scene
        if twin_scene is not scene:
            problem = f"the same parts lie at the same places as in scene {twin_scene.scene}"
            findings.say(f"{SCENES_DIR}/{scene.scene}/{SCENE_FILE}", "info.placements", problem, _ADVICE)


def _say(findings: Findings, one: ManifestEntry, twin: ManifestEntry, what: str) -> None:
    problem = f"{what} scene {twin.scene} view {twin.view} (splits {twin.split}, {one.split})"
    advice = _ADVICE if one.scene != twin.scene else "make the scene again"
    findings.say(files_of(one)["rgb"], "", problem, advice)


def _alike(prints: Sequence[Fingerprint]) -> list[tuple[Fingerprint, Fingerprint]]:
    """Pairs of different scenes whose thumbnails differ by no more than ALIKE_LEVELS anywhere."""
    if not prints:
        return []
    colours = np.stack([np.frombuffer(one.thumbnail, dtype=np.uint8) for one in prints]).astype(np.int16)  # (N, C)
    order = np.argsort(colours.mean(axis=1), kind="stable")
    colours = colours[order]
    means = colours.mean(axis=1)
    probes = colours[:, :: max(1, colours.shape[1] // 16)]  # a few cells settle most pairs
    ends = np.searchsorted(means, means + ALIKE_LEVELS, side="right")
    pairs = []
    for index, end in enumerate(ends):
        near = np.abs(probes[index + 1 : end] - probes[index]).max(axis=1, initial=0) <= ALIKE_LEVELS
        for other in np.flatnonzero(near) + index + 1:
            a, b = (prints[place] for place in sorted((int(order[index]), int(order[other]))))
            same = np.abs(colours[index] - colours[other]).max() <= ALIKE_LEVELS
            if same and a.entry.scene != b.entry.scene:
                pairs.append((b, a))
    return sorted(pairs, key=lambda pair: (pair[0].entry.scene, pair[0].entry.view))
