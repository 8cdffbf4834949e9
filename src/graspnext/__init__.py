"""GraspNeXt: from CAD files of parts to a picking network on the robot's own computer."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("graspnext")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
