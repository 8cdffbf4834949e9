"""The suction cup and gripper that the labels are made for; stored with every dataset."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from graspnext.errors import ConfigError

CUP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""What a further cup may be called: its name is part of file names."""
_LENGTHS = ("radius_m", "compliance_m", "vacuum_pa", "payload_kg", "safety_factor", "tool_radius_m", "tool_length_m")


@dataclass(frozen=True)
class CupConfig:
    """A bellows cup on a straight tool. Defaults: a common 1.5-bellows cup of 20 mm."""

    radius_m: float = 0.01
    """Radius of the sealing lip."""
    compliance_m: float = 0.004
    """How far the lip follows a surface off its plane before air leaks."""
    vacuum_pa: float = 60e3
    """Working vacuum below ambient pressure."""
    friction: float = 0.5
    """Lip on part, for tangential holding."""
    safety_factor: float = 2.0
    """Holding force over load at which the wrench score reaches 1."""
    payload_kg: float = 5.0
    """Largest mass that robot and gripper may lift, whatever the vacuum would hold; above it the score is 0."""
    approach_cone_rad: float = 1.05
    """Largest angle between the approach direction and straight down; beyond it the score is 0."""
    tool_radius_m: float = 0.015
    """Radius of the gripper body behind the cup that must stay free of other parts and walls."""
    tool_length_m: float = 0.15
    """Length of that body."""
    upper_body: tuple[tuple[float, float], ...] = ()
    """(radius, length) in metres of what follows above that body, from below upwards: a flange, a valve, an arm. A
    cone is a few steps."""
    retreat_m: float = 0.05
    """How far the tool comes in and goes out along its axis before it may turn away: the body sweeps as much more."""

    def __post_init__(self) -> None:
        for name in _LENGTHS:
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"cup.{name}", getattr(self, name), "a finite number greater than 0")
        for name in ("friction", "retreat_m"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"cup.{name}", getattr(self, name), "a finite number, at least 0")
        if not 0 < self.approach_cone_rad <= 1.5708:
            raise ConfigError("cup.approach_cone_rad", self.approach_cone_rad, "in (0, pi/2]")
        # Lists, as files have them, become tuples: equal cups must be equal, and hashable.
        steps = tuple(tuple(float(value) for value in step) for step in self.upper_body)
        if any(len(step) != 2 or not all(0 < value < math.inf for value in step) for step in steps):
            raise ConfigError("cup.upper_body", self.upper_body, "pairs (radius, length), finite and greater than 0")
        object.__setattr__(self, "upper_body", steps)

    @property
    def neck_m(self) -> float:
        """Height of the cup between the surface and the body."""
        return max(self.radius_m, self.compliance_m)

    def body(self) -> tuple[tuple[float, float, float], ...]:
        """What the gripper's body sweeps on its way in and out.

        Returns:
            (radius, from, to) of each of its cylinders, metres; from and to are heights over the surface.
        """
        swept = []
        low = self.neck_m
        for radius, length in ((self.tool_radius_m, self.tool_length_m), *self.upper_body):
            swept.append((radius, low, low + length + self.retreat_m))
            low += length
        return tuple(swept)

    @property
    def top_m(self) -> float:
        """Height over the surface up to which the axis must be free."""
        return self.body()[-1][2]


def check_cup_names(names: Iterable[str]) -> None:
    """Refuse names of further cups that cannot be part of a file name.

    Raises:
        ConfigError: A name is not 1 to 64 lower-case letters, digits and hyphens.
    """
    for name in names:
        if not CUP_NAME.fullmatch(name):
            raise ConfigError("more_cups", name, "a name of 1 to 64 lower-case letters, digits and hyphens")
