"""Physically based pictures by Filament, through MuJoCo's bindings (`mujoco.mjrf`), without a window.

Brightness: a matt surface of linear albedo a that receives E lux comes out at a * E / WHITE_LUX * exposure in linear
light before tone mapping, plus about 4 % of E / WHITE_LUX from its gloss, whether the light comes from the sky
(`Look.ambient_lux`), a directional light (lux) or a lamp (candela / distance^2). Tone mapping is Khronos PBR Neutral:
it takes that gloss off again, follows the linear values up to 0.8 and compresses what lies above.

Same bytes every time, but for one case: Filament dithers with noise that depends on how many frames a context has
drawn, and its edge smoothing turns that noise into differences of up to 60 levels on single pixels. A fresh context
repeats itself exactly, and opening one takes 0.05 s (and 0.25 s for the shaders of its first picture). So every scene
gets its own context, which draws all its views in order at once; a picture then depends on nothing but (scene, view).

The case: where two surfaces lie at exactly the same depth, Filament leaves open which of them it draws first, and the
first one stays. Of 1,650 views of `bench` drawn twice one differed, in one pixel where something that stands on the
floor meets it. Labels and clean depth do not look at pictures.

It draws on a GPU when Vulkan has one, or else with Mesa's software rasteriser. The two round differently: see
`MEAN_TOLERANCE`. Labels come from rays and know nothing of it.

Mesa's rasteriser brings an LLVM into the process. A process that also needs torchvision or `torch._dynamo` has to
import them first: they load triton, whose own LLVM crashes when it comes second (torch 2.14, Mesa 22.3).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from graspnext.errors import MissingDependencyError
from graspnext.types import Camera, Float64Array, UInt8Array
from graspnext.world.render.renderer import INSTALL_VULKAN, Renderer, require
from graspnext.world.render.sky import room
from graspnext.world.render.surface import build_surface, floor_mesh, tangent_frames
from graspnext.world.render.vulkan import find_cpu, find_devices, find_gpu
from graspnext.world.scene import WHITE_LUX, Light, Look, Material, Mesh, Prop, Scene

MEAN_TOLERANCE, PIXEL_TOLERANCE, PIXEL_SHARE = 1.5, 24, 0.01
"""How far pictures of one scene from a GPU and from the CPU may lie apart, levels of 255: the mean absolute difference;
and no more than this share of pixels by more than so many levels in any channel (edges and rims of shadows)."""
_NEAR_M, _FAR_M = 0.02, 20.0
_SHADOW_MAP = 1024
_LAMP_RANGE_M = 50.0
_CLEAR_GAIN = 1.8
"""The bindings show the clear colour this much brighter than a surface of the same linear value (measured)."""
_SPOT_HALF_ANGLE_DEG = 45.0
_SUPERSAMPLING = 1.25
"""Pictures are drawn this many times wider and higher, then averaged over areas: textures and thin parts keep smooth
edges. At 2 a view takes twice as long."""


class FilamentRenderer(Renderer):
    """Physically based rasterisation (Vulkan): shadows, ambient occlusion, roughness, metals, film, mirrored rooms.

    Args:
        gpu: True or False: a GPU or the software rasteriser, nothing else will do; None = a GPU if there is one.

    Raises:
        MissingDependencyError: The bindings or what it shall draw on are missing.
    """

    def __init__(self, *, gpu: bool | None = None) -> None:
        require("mujoco.studio", "the Filament renderer")
        require("mujoco.mjrf", "the Filament renderer")
        found = find_devices()
        if isinstance(found, str):
            raise MissingDependencyError(f"a Vulkan driver ({found})", "the Filament renderer", INSTALL_VULKAN)
        names = ", ".join(device.name for device in found) or "none"
        card, software = find_gpu(found), find_cpu(found)
        device = card if gpu or (gpu is None and card is not None) else software
        if device is None:
            wanted = "a GPU with a Vulkan driver" if gpu else "a software Vulkan driver"
            hint = "the driver of the graphics card" if gpu else INSTALL_VULKAN
            raise MissingDependencyError(f"{wanted} (there: {names})", "the Filament renderer", hint)
        self.name = "filament-cpu" if device is software else "filament-gpu"
        self.device = device.name
        self._scene: Scene | None = None
        self._pictures: list[UInt8Array] = []

    def render(self, scene: Scene, view: int) -> UInt8Array:
        """See `Renderer.render`. The first call for a scene draws all its views."""
        if scene is not self._scene:
            self._pictures = _draw(scene, software=self.name == "filament-cpu")
            self._scene = scene
        return self._pictures[view].copy()

    def close(self) -> None:
        """See `Renderer.close`."""
        self._scene, self._pictures = None, []


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Filament's start-up lines, one set a context, off the standard streams."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, sink):
            os.close(descriptor)


def _open_context(*, software: bool = True) -> Any:
    import mujoco.studio  # noqa: F401 - registers the material files that the context loads
    from mujoco import mjrf

    with _quiet():
        return mjrf.Context(
            mjrf.ContextConfig(graphics_api=mjrf.GraphicsApi.GRAPHICS_API_VULKAN, software_rendering=software)
        )


def _draw(scene: Scene, *, software: bool) -> list[UInt8Array]:
    """All views of a scene, from a context of its own."""
    context = _open_context(software=software)
    stage = _Stage(context, scene)
    pictures = [stage.picture(camera) for camera in scene.cameras]
    stage.clear()
    return pictures


class _Stage:
    """One scene inside one context."""

    def __init__(self, context: Any, scene: Scene) -> None:
        from mujoco import mjrf

        self._context = context
        self._scene = context.create_scene(mjrf.SceneParams())
        self._scene.configure_from_model(_options())
        self._held: list[Any] = []  # the bindings do not keep what a scene refers to alive
        self._textures: dict[int, Any] = {}
        self._light(scene.look)
        context.set_clear_color(_horizon(scene.look))
        floor = floor_mesh(scene.floor)
        self._add(self._mesh(floor), np.eye(4), scene.floor.material, cast_shadow=False)
        for still in (Prop(scene.container.mesh, scene.container.material), *scene.props):
            self._add(self._mesh(still.mesh), np.eye(4), still.material)
        shapes: dict[int, list[tuple[Any, int]]] = {}
        for placement in scene.placements:
            part = scene.parts[placement.part]
            props = (Prop(part.mesh, part.material), *part.inside)
            if placement.part not in shapes:
                shapes[placement.part] = [self._mesh(prop.mesh) for prop in props]
            for shape, prop in zip(shapes[placement.part], props, strict=True):
                self._add(shape, placement.T_world_part, prop.material)

    def picture(self, camera: Camera) -> UInt8Array:
        """Draw one view."""
        from mujoco import mjrf

        width, height = round(camera.width * _SUPERSAMPLING), round(camera.height * _SUPERSAMPLING)
        config = mjrf.RenderTargetConfig(width=width, height=height, color_format=mjrf.PixelFormat.PIXEL_FORMAT_RGB8)
        target = self._context.create_render_target(config)
        target.resize(width, height)
        large = np.zeros((height, width, 3), dtype=np.uint8)
        read = mjrf.ReadRequest(target=target)
        read.set_buffer(large)
        request = mjrf.RenderRequest(
            scene=self._scene, target=target, camera=_camera(camera), viewport=mjrf.Rect(0, 0, width, height)
        )
        request.haze = request.skybox = request.reflections = False
        self._context.wait_for_frame(self._context.render([request], [read]))
        del request, read, target
        size = (camera.width, camera.height)
        return np.asarray(Image.fromarray(large).resize(size, Image.Resampling.BOX))

    def clear(self) -> None:
        """Drop everything in the scene before the context goes."""
        self._scene = None
        self._held.clear()
        self._textures.clear()

    def _light(self, look: Look) -> None:
        from mujoco import mjrf

        sky = self._texture_from(
            room(look),
            mjrf.TextureConfig(
                width=0,
                height=0,
                format=mjrf.PixelFormat.PIXEL_FORMAT_KTX,
                color_space=mjrf.ColorSpace.COLORSPACE_LINEAR,
                sampler_type=mjrf.SamplerType.TEXTURE_CUBE,
            ),
        )
        # An image light is given by its luminance; the room casts as much upward as a uniform sky: pi L lux.
        params = mjrf.LightParams(
            type=mjrf.LightType.LIGHT_IMAGE, texture=sky, intensity=look.ambient_lux * look.exposure / np.pi
        )
        self._add_light(self._context.create_light(params))
        for light in look.lights:
            self._add_light(_lamp(self._context, light, look.exposure))

    def _add_light(self, light: Any) -> None:
        self._scene.add_light(light)
        self._held.append(light)

    def _add(self, mesh: tuple[Any, int], T_world: Any, material: Material, *, cast_shadow: bool = True) -> None:
        from mujoco import mjrf

        # The bindings draw transparent things' shadows as if they were solid: film casts none.
        renderable = self._context.create_renderable(
            mjrf.RenderableParams(cast_shadow=cast_shadow and not material.transparent, receive_shadow=True)
        )
        renderable.set_mesh(mesh[0], 0, mesh[1])
        renderable.set_material(self._material(material))
        renderable.set_pose(T_world[:3, 3], np.ascontiguousarray(T_world[:3, :3]).reshape(9))
        renderable.set_size([1.0, 1.0, 1.0])
        self._scene.add_renderable(renderable)
        self._held.append(renderable)

    def _material(self, material: Material) -> Any:
        from mujoco import mjrf

        # Less than 1 is what makes the bindings blend at all.
        opacity = min(material.opacity, 0.999) if material.transparent else 1.0
        look = mjrf.Material(
            color=np.array([*_to_srgb(material.color), opacity], dtype=np.float32),
            roughness=max(material.roughness, 0.05),
            metallic=material.metallic,
        )
        if material.texture is not None:
            look.color_texture = self._texture(material.texture, mjrf.ColorSpace.COLORSPACE_SRGB)
        if material.normals is not None:
            look.normal_texture = self._texture(material.normals, mjrf.ColorSpace.COLORSPACE_LINEAR)
        if material.orm is not None:
            look.orm_texture = self._texture(material.orm, mjrf.ColorSpace.COLORSPACE_LINEAR)
        return look

    def _mesh(self, mesh: Mesh) -> tuple[Any, int]:
        """Upload a mesh; returns it with its number of indices."""
        from mujoco import mjrf

        surface = build_surface(mesh)
        frames = tangent_frames(surface)
        kinds, usages = mjrf.VertexAttributeType, mjrf.VertexAttributeUsage
        attributes = [
            mjrf.VertexAttribute(usages.VERTEX_ATTRIBUTE_USAGE_POSITION, kinds.VERTEX_ATTRIBUTE_TYPE_FLOAT3),
            mjrf.VertexAttribute(usages.VERTEX_ATTRIBUTE_USAGE_TANGENTS, kinds.VERTEX_ATTRIBUTE_TYPE_FLOAT4),
            mjrf.VertexAttribute(usages.VERTEX_ATTRIBUTE_USAGE_UV, kinds.VERTEX_ATTRIBUTE_TYPE_FLOAT2),
        ]
        config = mjrf.MeshConfig(
            max_vertices=len(surface.positions),
            max_indices=surface.faces.size,
            attributes=attributes,
            interleaved=False,
            index_type=mjrf.IndexType.INDEX_TYPE_U32,
            primitive_type=mjrf.MeshPrimitiveType.MESH_PRIMITIVE_TYPE_TRIANGLES,
        )
        uploaded = self._context.create_mesh(config)
        data = mjrf.MeshData(compute_bounds=True)
        data.set_vertices(config, surface.positions.tobytes() + frames.tobytes() + surface.image_uv.tobytes())
        data.set_indices(config, surface.faces.astype(np.uint32).tobytes())
        uploaded.upload(data)
        self._held.append(uploaded)
        return uploaded, surface.faces.size

    def _texture(self, image: UInt8Array, space: Any) -> Any:
        from mujoco import mjrf

        if id(image) not in self._textures:
            formats = {3: mjrf.PixelFormat.PIXEL_FORMAT_RGB8, 4: mjrf.PixelFormat.PIXEL_FORMAT_RGBA8}
            config = mjrf.TextureConfig(
                width=image.shape[1],
                height=image.shape[0],
                format=formats[image.shape[2]],
                color_space=space,
                sampler_type=mjrf.SamplerType.TEXTURE_2D,
            )
            content = _premultiplied(image) if image.shape[2] == 4 else image
            self._textures[id(image)] = self._texture_from(np.ascontiguousarray(content).tobytes(), config)
        return self._textures[id(image)]

    def _texture_from(self, content: bytes, config: Any) -> Any:
        from mujoco import mjrf

        texture = self._context.create_texture(config)
        data = mjrf.TextureData()
        data.set_image(content)
        texture.upload(data)
        self._held.append(texture)
        return texture


def _options() -> Any:
    """Filament's settings, which the bindings read from the custom fields of an otherwise empty model."""
    import mujoco

    spec = mujoco.MjSpec()
    for name, value in {"ao.enabled": 1.0, "bloom.enabled": 0.0, "fog.enabled": 0.0, "vignette.enabled": 0.0}.items():
        spec.add_numeric(name=f"filament.{name}", data=[value], size=1)
    spec.add_text(name="filament.cg.tone_mapping", data="pbr_neutral")
    return spec.compile()


def _camera(camera: Camera) -> Any:
    """The frustum whose four sides pass through the picture's borders: principal point and both focal lengths."""
    from mujoco import mjrf

    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    top, bottom = camera.cy / camera.fy, (camera.cy - camera.height) / camera.fy
    T = camera.T_world_camera
    return mjrf.Camera(
        pos=T[:3, 3],
        forward=T[:3, 2],
        up=-T[:3, 1],
        frustum_center=_NEAR_M * (left + right) / 2,
        frustum_width=_NEAR_M * (right - left) / 2,  # the bindings' width is half of it
        frustum_bottom=_NEAR_M * bottom,
        frustum_top=_NEAR_M * top,
        frustum_near=_NEAR_M,
        frustum_far=_FAR_M,
    )


def _to_srgb(color: tuple[float, float, float]) -> Float64Array:
    """The form in which the bindings take colours (IEC 61966-2-1)."""
    linear = np.asarray(color, dtype=np.float64)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _premultiplied(image: UInt8Array) -> UInt8Array:
    """RGBA (H, W, 4) with the colour times the opacity, in linear light: what the bindings blend."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    share = linear[image[..., :3]] * (image[..., 3:] / 255.0)  # (H, W, 3)
    display = np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.concatenate([np.round(255 * display).astype(np.uint8), image[..., 3:]], axis=-1)


def _horizon(look: Look) -> Float64Array:
    """Clear colour (3,): behind everything stands white paper under the sky alone."""
    paper = np.array(look.ambient) * look.ambient_lux * look.exposure / WHITE_LUX
    return np.clip(paper / _CLEAR_GAIN, 0, 1)


def _lamp(context: Any, light: Light, exposure: float) -> Any:
    from mujoco import mjrf

    kinds = mjrf.LightType
    kind = {"directional": kinds.LIGHT_DIRECTIONAL, "point": kinds.LIGHT_POINT, "spot": kinds.LIGHT_SPOT}[light.kind]
    params = mjrf.LightParams(
        type=kind,
        color=np.array(light.color, dtype=np.float32),
        intensity=light.intensity * exposure,
        cast_shadow=light.shadows,
        shadow_map_size=_SHADOW_MAP,
        range=_LAMP_RANGE_M,
    )
    if light.kind == "spot":
        params.cutoff = _SPOT_HALF_ANGLE_DEG
        params.softness = 0.5
    lamp = context.create_light(params)
    lamp.set_pose(np.array(light.position), np.array(light.direction))
    return lamp
