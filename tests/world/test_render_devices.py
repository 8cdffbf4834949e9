"""Which device Filament draws on, and how far a GPU's picture may lie from the CPU's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.world.test_renderers import box_mesh, overhead, pose

from graspnext.errors import MissingDependencyError
from graspnext.world.parts.families import sample_part
from graspnext.world.render.renderer import open_renderer, renderer_problems
from graspnext.world.render.vulkan import Device, find_cpu, find_devices, find_gpu
from graspnext.world.scene import Container, Floor, Light, Look, Material, Mesh, Placement, Scene

PROBLEMS = renderer_problems()
CPU, CARD = Device("llvmpipe", "cpu"), Device("Big Card", "discrete")
CHIP, GUEST, ODD = Device("Small Chip", "integrated"), Device("Guest", "virtual"), Device("?", "other")


@pytest.mark.parametrize(
    ("devices", "gpu"),
    [
        ((), None),
        ((CPU,), None),
        ((ODD, CPU), None),
        ((CPU, CHIP), CHIP),
        ((CHIP, CARD, CPU), CARD),
        ((GUEST, CPU), GUEST),
        ((GUEST, CHIP), CHIP),
    ],
)
def test_a_discrete_gpu_comes_first(devices: tuple[Device, ...], gpu: Device | None) -> None:
    assert find_gpu(devices) == gpu
    assert find_cpu(devices) == (CPU if CPU in devices else None)


def test_real_enumeration_agrees_with_the_renderers() -> None:
    found = find_devices()
    if isinstance(found, str):
        assert all(PROBLEMS[name] is not None for name in ("filament", "filament-cpu", "filament-gpu"))
        return
    assert found and all(device.name and device.kind for device in found)
    gpu, cpu = find_gpu(found), find_cpu(found)
    assert (PROBLEMS["filament-gpu"] is None) == (gpu is not None)
    assert (PROBLEMS["filament-cpu"] is None) == (cpu is not None)
    with open_renderer("filament") as renderer:
        chosen = gpu or cpu
        assert chosen is not None
        assert (renderer.name, renderer.device) == ("filament-gpu" if gpu else "filament-cpu", chosen.name)


@pytest.mark.skipif(PROBLEMS["filament-gpu"] is None, reason="there is a GPU")
def test_asking_for_a_gpu_where_there_is_none_is_refused() -> None:
    with pytest.raises(MissingDependencyError, match=r"GPU|Vulkan"):
        open_renderer("filament-gpu")


@pytest.mark.gpu
def test_gpu_and_cpu_pictures_agree_within_the_tolerance() -> None:
    from graspnext.world.render.filament import MEAN_TOLERANCE, PIXEL_SHARE, PIXEL_TOLERANCE

    for name in ("filament-gpu", "filament-cpu"):
        if PROBLEMS[name] is not None:
            pytest.skip(PROBLEMS[name])
    scene = mixed_scene()
    pictures = []
    for name in ("filament-gpu", "filament-cpu"):
        with open_renderer(name) as renderer:
            pictures.append(np.stack([renderer.render(scene, view) for view in range(len(scene.cameras))]).astype(int))
    difference = np.abs(pictures[0] - pictures[1])
    assert difference.mean() <= MEAN_TOLERANCE
    assert (difference.max(axis=-1) > PIXEL_TOLERANCE).mean() <= PIXEL_SHARE


def mixed_scene() -> Scene:
    """Print, film, metal and rubber under a sun and a lamp."""
    families = ("carton", "bag", "bearing", "seal", "bottle", "circuit_board")
    parts = tuple(sample_part(f, f"{f}-00", rng=np.random.default_rng(3)) for f in families)
    poses = [pose(0.16 * (i % 3 - 1), 0.2 * (i // 3) - 0.1, 0.03, yaw=i) for i in range(len(parts))]
    placements = tuple(Placement(i, T) for i, T in enumerate(poses))
    grey = Material((0.4, 0.4, 0.4), 0.8, 0.0)
    slab = Container("table", Mesh(box_mesh((1, 1, 0.02)).vertices, box_mesh((1, 1, 1)).faces), (), (1, 1, 0), grey)
    sun = Light("directional", (-2, 0, 2), (0.6, 0.2, -0.77), (1, 1, 1), 30e3)
    lamp = Light("spot", (0.3, 0.3, 0.9), (-0.3, -0.3, -0.9), (1, 0.9, 0.8), 5e3)
    near = dataclasses.replace(overhead(256, 256), fx=450.0, fy=450.0)
    return Scene(
        "000000", parts, placements, slab, Floor(-0.5, 4.0, grey), Look((sun, lamp), (1, 1, 1), 2e4, 1.0), (near,)
    )


@pytest.mark.skipif(PROBLEMS["filament-cpu"] is not None, reason=str(PROBLEMS["filament-cpu"]))
def test_the_scene_of_the_comparison_repeats_itself_on_the_cpu() -> None:
    scene, again = mixed_scene(), mixed_scene()
    with open_renderer("filament-cpu") as renderer:
        first, second = renderer.render(scene, 0), renderer.render(again, 0)
    assert first.tobytes() == second.tobytes()
    assert first.std() > 10
