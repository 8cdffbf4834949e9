"""What every renderer offers, and the choice among those that work here."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final

from graspnext.errors import MissingDependencyError, UnknownNameError
from graspnext.types import UInt8Array
from graspnext.world.scene import Scene

INSTALL_LIBRARIES: Final = "pip install 'graspnext[world]'"
INSTALL_VULKAN: Final = "apt-get install libvulkan1 mesa-vulkan-drivers"
INSTALL_EGL: Final = "apt-get install libegl1 libgl1-mesa-dri"


class Renderer(ABC):
    """Turns a scene into pictures. Use it in a `with` block, or call `close` when done.

    A picture is a function of (scene, view) alone: neither the order of the calls nor what was rendered before
    changes it by more than 2 levels. Everything that all views of a scene share is built once, for as long as
    the same scene object is asked for.
    """

    name: str
    """A key of `RENDERERS` that opens this very renderer again."""
    device: str
    """What it draws on, e.g. the name of the graphics card."""

    @abstractmethod
    def render(self, scene: Scene, view: int) -> UInt8Array:
        """The picture of one camera.

        Args:
            scene: The scene, not changed between calls.
            view: Index into `scene.cameras`.

        Returns:
            (H, W, 3) uint8 sRGB, H and W those of the camera; every intrinsic of the camera is kept exactly.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the renderer holds; safe to call twice."""

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_filament(*, gpu: bool | None = None) -> Renderer:
    from graspnext.world.render.filament import FilamentRenderer

    return FilamentRenderer(gpu=gpu)


def _open_classic() -> Renderer:
    from graspnext.world.render.classic import ClassicRenderer

    return ClassicRenderer()


RENDERERS: Final[dict[str, Callable[[], Renderer]]] = {
    "filament": _open_filament,
    "filament-gpu": partial(_open_filament, gpu=True),
    "filament-cpu": partial(_open_filament, gpu=False),
    "classic": _open_classic,
}
"""By preference: `filament` is physically based, on a GPU when there is one, or else on the CPU; the next two force
one of them; `classic` is a plain rasteriser for machines without Vulkan."""


def open_renderer(name: str | None = None) -> Renderer:
    """Open a renderer by name, or the best one that works here.

    Args:
        name: A key of `RENDERERS`; None = the first that opens.

    Raises:
        UnknownNameError: There is no renderer of that name.
        MissingDependencyError: It, or with None any of them, lacks a library or system package.
    """
    if name is not None:
        if name not in RENDERERS:
            raise UnknownNameError("renderer", name, RENDERERS)
        return RENDERERS[name]()
    problems: list[str] = []
    for candidate in RENDERERS.values():
        try:
            return candidate()
        except MissingDependencyError as error:
            problems.append(str(error))
    raise MissingDependencyError(
        "a renderer", f"making pictures ({'; '.join(problems)})", f"{INSTALL_LIBRARIES} and {INSTALL_VULKAN}"
    )


def renderer_problems() -> dict[str, str | None]:
    """Every renderer with None if it works here, or else the reason and what to install."""
    problems: dict[str, str | None] = {}
    for name, open_one in RENDERERS.items():
        try:
            open_one().close()
            problems[name] = None
        except MissingDependencyError as error:
            problems[name] = str(error)
    return problems


def require(module: str, needed_for: str) -> None:
    """Import a library, or say what to install.

    Raises:
        MissingDependencyError: It is not installed or cannot be loaded.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"{module} ({error})", needed_for, INSTALL_LIBRARIES) from error
