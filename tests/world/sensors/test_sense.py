"""A sensed view keeps its labels, names its sensor, and is a function of its own random numbers."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from graspnext.types import View
from graspnext.world.recipes import find_recipe
from graspnext.world.scene import Material, Scene
from graspnext.world.scene_task import make_scene
from graspnext.world.sensors.depth import gloss_map
from graspnext.world.sensors.models import OWN, SENSORS, Sensor
from graspnext.world.sensors.picture import CaptureRanges
from graspnext.world.sensors.sense import sense

SIZE = 64


@pytest.fixture(scope="module")
def rendered(tiny_view: Callable[..., View]) -> View:
    return tiny_view("000000", 0, size=SIZE, num_parts=3, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def scene(rendered: View) -> Scene:
    """A scene of three parts or more, seen by the camera of `rendered`."""
    recipe = dataclasses.replace(find_recipe("smoke"), parts_per_scene=(6, 6), image_size=(SIZE, SIZE))
    made = make_scene(recipe, seed=2, index=0)
    assert len(made.placements) >= 3
    return dataclasses.replace(made, cameras=(rendered.camera,))


def sensed(scene: Scene, rendered: View, sensor: Sensor, ranges: CaptureRanges, seed: int = 0) -> View:
    scene = dataclasses.replace(scene, sensor=sensor)
    return sense(scene, 0, rendered.image, rendered.labels, ranges, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_sensors_fill_their_view(scene: Scene, rendered: View, sensor: Sensor) -> None:
    view = sensed(scene, rendered, sensor, CaptureRanges())
    assert view.sensor == sensor.name and view.camera is rendered.camera and view.labels is rendered.labels
    assert view.image.shape == rendered.image.shape and view.image.dtype == np.uint8
    assert np.array_equal(view.image, rendered.image) == sensor.picture.perfect
    assert (view.sensor_depth_m is not None) == sensor.measures_depth
    again = sensed(scene, rendered, sensor, CaptureRanges())
    assert again.image.tobytes() == view.image.tobytes()
    if view.sensor_depth_m is not None and again.sensor_depth_m is not None:
        assert view.sensor_depth_m.tobytes() == again.sensor_depth_m.tobytes()
        assert view.sensor_depth_m.dtype == np.float32


def test_depth_does_not_depend_on_how_the_picture_is_taken(scene: Scene, rendered: View) -> None:
    blurred = CaptureRanges(motion_probability=1.0, jpeg_probability=1.0)
    a, b = (sensed(scene, rendered, SENSORS["realsense_d435"], ranges) for ranges in (CaptureRanges(), blurred))
    assert a.sensor_depth_m is not None and b.sensor_depth_m is not None
    assert not np.array_equal(a.image, b.image)
    assert a.sensor_depth_m.tobytes() == b.sensor_depth_m.tobytes()


def test_a_camera_of_your_own() -> None:
    """By recipe: its name, its intrinsics in every view, its depth."""
    own = Sensor(OWN, (400, 600), (500.0, 510.0), (4.0, -2.0), (0.2, 2.0))
    recipe = dataclasses.replace(find_recipe("smoke"), sensors={OWN: 1.0}, own_sensor=own, image_size=(200, 200))
    scene = make_scene(recipe, seed=1, index=0)
    assert scene.sensor is own
    for camera in scene.cameras:
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (250.0, 255.0, 102.0, 99.0)


def test_gloss_is_that_of_the_surface_seen(scene: Scene, rendered: View) -> None:
    """Film, mirror and paper, and below the container's slab a floor that shines while the container does not."""
    looks = [(0.5, 0.0, 0.3), (0.05, 1.0, 1.0), (0.95, 0.0, 1.0)]
    materials = [Material((0.5, 0.5, 0.5), rough, metal, opacity=opacity) for rough, metal, opacity in looks]
    parts = tuple(dataclasses.replace(scene.parts[0], material=material) for material in materials)
    placements = tuple(dataclasses.replace(scene.placements[0], part=number) for number in range(3))
    matt, shiny = (Material((0.5, 0.5, 0.5), rough, 1.0) for rough in (1.0, 0.0))
    # The camera looks down from z = 0 at sheets 0.84 to 0.9 m below; the ground there is at -0.9 m.
    floor = dataclasses.replace(scene.floor, height_m=-0.9, material=shiny)
    made = dataclasses.replace(
        scene,
        parts=parts,
        placements=placements,
        floor=floor,
        container=dataclasses.replace(scene.container, material=matt),
    )
    gloss, ids = gloss_map(made, rendered.camera, rendered.labels), rendered.labels.instance_ids
    film, steel, paper = (gloss[ids == number] for number in (1, 2, 3))
    assert film.min() == film.max() == 0.5 and steel.min() > 0.85 and paper.max() < 0.01
    assert (gloss[ids == 0] == 1).all()
    raised = dataclasses.replace(made, floor=dataclasses.replace(floor, height_m=-1.2))
    assert (gloss_map(raised, rendered.camera, rendered.labels)[ids == 0] == 0).all()


def test_smoke_takes_both_paths() -> None:
    recipe = dataclasses.replace(find_recipe("smoke"), image_size=(64, 64), parts_per_scene=(1, 1))
    names = {make_scene(recipe, seed=0, index=index).sensor.name for index in range(8)}
    assert {"ideal", "realsense_d435"} <= names
