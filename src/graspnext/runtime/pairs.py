"""Which depth file belongs to a picture: a pair of names with `{stem}` in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from graspnext.errors import ConfigError

STEM = "{stem}"


@dataclass(frozen=True)
class DepthNames:
    """How depth files are named after pictures.

    Example:
        >>> names = DepthNames("{stem}_depth.png", rgb="{stem}_rgb.png")
        >>> names.depth_of(Path("scene/0001_rgb.png"))
        PosixPath('scene/0001_depth.png')
    """

    depth: str
    """Path of the depth file, from the picture's folder: `{stem}_depth.png`, `../depth/{stem}.png`."""
    rgb: str = ""
    """Name of a picture: `{stem}_rgb.png`; empty: any, and `{stem}` is its name without the suffix."""
    unit_m: float | None = None
    """Metres of one unit in depth files; None: 0.001 for whole numbers, 1 for floats."""

    def __post_init__(self) -> None:
        if self.depth.count(STEM) != 1 or STEM not in PurePath(self.depth).name:
            raise ConfigError("--depth", self.depth, f"a path with {STEM} once in its name, as '{STEM}_depth.png'")
        if self.rgb and (self.rgb.count(STEM) != 1 or PurePath(self.rgb).name != self.rgb):
            raise ConfigError("--rgb", self.rgb, f"a name (no folder) with {STEM} once, as '{STEM}_rgb.png'")
        if self.depth == self.rgb:
            raise ConfigError("--depth", self.depth, "another pattern than --rgb")
        if self.unit_m is not None and not 0 < self.unit_m < float("inf"):
            raise ConfigError("--depth-unit-m", self.unit_m, "above 0: metres of one unit")

    def stem_of(self, picture: Path) -> str | None:
        """What `{stem}` stands for in a picture's name; None when the name does not fit."""
        return _fill_of(self.rgb, picture.name) if self.rgb else picture.stem

    def depth_of(self, picture: Path) -> Path | None:
        """The depth file of a picture, there or not; None when the picture's name does not fit."""
        stem = self.stem_of(picture)
        return None if stem is None else picture.parent / self.depth.replace(STEM, stem)

    def is_picture(self, path: Path) -> bool:
        """Whether a search should take `path`: its name fits, and it is not itself named as a depth file."""
        if self.rgb:
            return _fill_of(self.rgb, path.name) is not None
        pattern = [part for part in PurePath(self.depth).parts if part not in {"..", "."}]
        tail = path.absolute().parts[-len(pattern) :]
        return tail[:-1] != tuple(pattern[:-1]) or _fill_of(pattern[-1], tail[-1]) is None


def _fill_of(pattern: str, name: str) -> str | None:
    """What stands in place of `{stem}`, at least one character; None when `name` is no such name."""
    before, after = pattern.split(STEM)
    fits = len(name) > len(before) + len(after) and name.startswith(before) and name.endswith(after)
    return name[len(before) : len(name) - len(after)] if fits else None
