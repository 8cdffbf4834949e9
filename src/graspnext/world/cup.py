"""The suction cup and gripper that the labels are made for; stored with every dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graspnext.errors import ConfigError


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
    approach_cone_rad: float = 1.05
    """Largest angle between the approach direction and straight down; beyond it the score is 0."""
    tool_radius_m: float = 0.015
    """Radius of the gripper body behind the cup that must stay free of other parts and walls."""
    tool_length_m: float = 0.15
    """Length of that body."""

    def __post_init__(self) -> None:
        for name in ("radius_m", "compliance_m", "vacuum_pa", "safety_factor", "tool_radius_m", "tool_length_m"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"cup.{name}", getattr(self, name), "a finite number greater than 0")
        if not 0 <= self.friction < math.inf:
            raise ConfigError("cup.friction", self.friction, "a finite number, at least 0")
        if not 0 < self.approach_cone_rad <= 1.5708:
            raise ConfigError("cup.approach_cone_rad", self.approach_cone_rad, "in (0, pi/2]")
