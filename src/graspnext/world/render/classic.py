"""Plain pictures by MuJoCo's classic OpenGL renderer through EGL: for machines without a Vulkan driver.

Phong shading without roughness, metals, normal maps or tone mapping, in display values; film is as transparent as it
is in the mean. Without tone mapping, all lights together get the display value of 1 - exp(-lux * exposure / WHITE_LUX),
where lux is what they all cast straight on the container, and each its share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graspnext.errors import MissingDependencyError
from graspnext.types import Camera, Float64Array, UInt8Array
from graspnext.world.render.renderer import INSTALL_EGL, Renderer, require
from graspnext.world.render.surface import build_surface, floor_mesh
from graspnext.world.scene import WHITE_LUX, Light, Look, Material, Mesh, Scene

_NEAR_M, _FAR_M = 0.02, 20.0
_SAMPLES = 8
_MAX_GEOMS = 4096


class ClassicRenderer(Renderer):
    """OpenGL rasterisation: shadows of directional lights, 8-fold multisampling."""

    name = "classic"
    device = "OpenGL"

    def __init__(self) -> None:
        require("mujoco", "the classic renderer")
        try:
            from mujoco.egl import GLContext

            GLContext(16, 16).free()
        except Exception as error:
            # PyOpenGL raises ImportError, AttributeError, GLError or RuntimeError, depending on what is missing.
            raise MissingDependencyError(f"an EGL driver ({error})", "the classic renderer", INSTALL_EGL) from error
        self._scene: Scene | None = None
        self._stage: _Stage | None = None

    def render(self, scene: Scene, view: int) -> UInt8Array:
        """See `Renderer.render`."""
        if self._stage is None or scene is not self._scene:
            self.close()
            self._stage, self._scene = _Stage(scene), scene
        return self._stage.picture(scene.cameras[view])

    def close(self) -> None:
        """See `Renderer.close`."""
        if self._stage is not None:
            self._stage.close()
        self._stage = self._scene = None


class _Stage:
    """One scene compiled into a model, with its OpenGL context."""

    def __init__(self, scene: Scene) -> None:
        import mujoco
        from mujoco.egl import GLContext

        width = max(camera.width for camera in scene.cameras)
        height = max(camera.height for camera in scene.cameras)
        self._model = _compile(scene, width, height)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._gl = GLContext(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self._model, _MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

    def picture(self, camera: Camera) -> UInt8Array:
        """Draw one view."""
        import mujoco

        self._gl.make_current()
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            mujoco.MjvOption(),
            None,
            mujoco.MjvCamera(),
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        for eye in self._scene.camera:  # left and right: the picture is taken from their mean
            _place(eye, camera)
        rect = mujoco.MjrRect(0, 0, camera.width, camera.height)
        mujoco.mjr_render(rect, self._scene, self._context)
        image = np.zeros((camera.height, camera.width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, rect, self._context)
        return np.ascontiguousarray(image[::-1])  # OpenGL's first row is the lowest

    def close(self) -> None:
        """Give back the OpenGL context."""
        self._context.free()
        self._gl.free()


def _place(eye: Any, camera: Camera) -> None:
    """Set a camera's pose and the frustum through the picture's borders."""
    T = camera.T_world_camera
    eye.pos, eye.forward, eye.up = T[:3, 3], T[:3, 2], -T[:3, 1]
    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    eye.frustum_center = _NEAR_M * (left + right) / 2
    eye.frustum_width = _NEAR_M * (right - left) / 2  # half the width
    eye.frustum_bottom = _NEAR_M * (camera.cy - camera.height) / camera.fy
    eye.frustum_top = _NEAR_M * camera.cy / camera.fy
    eye.frustum_near, eye.frustum_far = _NEAR_M, _FAR_M


def _compile(scene: Scene, width: int, height: int) -> Any:
    import mujoco

    spec = mujoco.MjSpec()
    visual = spec.visual
    visual.global_.offwidth, visual.global_.offheight = width, height
    visual.quality.offsamples = _SAMPLES
    visual.quality.shadowsize = 2048
    visual.headlight.diffuse = visual.headlight.specular = np.zeros(3)
    look = scene.look
    visual.headlight.ambient, strengths = _strengths(look)
    floor = floor_mesh(scene.floor)
    _add(spec, "floor", floor, scene.floor.material, [np.eye(4)])
    _add(spec, "container", scene.container.mesh, scene.container.material, [np.eye(4)])
    textures = {"floor": scene.floor.material.texture, "container": scene.container.material.texture}
    for number, prop in enumerate(scene.props):
        _add(spec, f"prop{number}", prop.mesh, prop.material, [np.eye(4)])
        textures[f"prop{number}"] = prop.material.texture
    for index in sorted({placement.part for placement in scene.placements}):
        part = scene.parts[index]
        poses = [placement.T_world_part for placement in scene.placements if placement.part == index]
        _add(spec, f"part{index}", part.mesh, part.material, poses)
        textures[f"part{index}"] = part.material.texture
        for number, prop in enumerate(part.inside):
            name = f"part{index}inside{number}"
            _add(spec, name, prop.mesh, prop.material, poses)
            textures[name] = prop.material.texture
    for light, strength in zip(look.lights, strengths, strict=True):
        _add_light(spec, light, strength)
    model = spec.compile()
    for name, texture in textures.items():
        if texture is not None:
            start, pixels = int(model.texture(name).adr[0]), texture[..., :3]
            model.tex_data[start : start + pixels.size] = pixels.ravel()
    return model


def _add(spec: Any, name: str, mesh: Mesh, material: Material, poses: list[Float64Array]) -> None:
    """One mesh with its material, at one or more poses."""
    import mujoco

    surface = build_surface(mesh)
    faces = surface.faces.astype(np.int32).ravel()
    spec.add_mesh(
        name=name,
        uservert=surface.positions.ravel(),
        usernormal=surface.normals.ravel(),
        usertexcoord=surface.image_uv.ravel(),
        userface=faces,
        userfacenormal=faces,
        userfacetexcoord=faces,
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,  # open meshes have no volume
    )
    shine = 1 - material.roughness
    added = spec.add_material(
        name=name,
        rgba=[*_display(np.array(material.color)), _opacity(material)],
        specular=0.3 * shine + 0.4 * material.metallic * shine,
        shininess=shine**2,
    )
    if material.texture is not None:
        rows, columns = material.texture.shape[:2]
        spec.add_texture(
            name=name,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            width=columns,
            height=rows,
            nchannel=3,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,  # pixels are put in after compilation
        )
        added.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    for T in poses:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(T[:3, :3]).ravel())
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=name, pos=T[:3, 3], quat=quaternion
        )


def _opacity(material: Material) -> float:
    """One opacity for the whole surface: this renderer has no other."""
    texture = material.texture
    painted = texture[..., 3].mean() / 255 if texture is not None and texture.shape[2] == 4 else 1.0
    return float(material.opacity * painted)


def _strengths(look: Look) -> tuple[Float64Array, list[Float64Array]]:
    """Display-value RGB (3,) of the sky and of each light at the world's origin, where the container stands."""
    sky = np.array(look.ambient) * look.ambient_lux
    lux = [sky]
    for light in look.lights:
        distance = 1.0 if light.kind == "directional" else float(np.linalg.norm(light.position))
        lux.append(np.array(light.color) * light.intensity / max(distance, 1e-3) ** 2)
    total = np.sum(lux, axis=0)
    share = _display(1 - np.exp(-total * look.exposure / WHITE_LUX)) / np.maximum(total, 1e-9)
    return lux[0] * share, [value * share for value in lux[1:]]


def _add_light(spec: Any, light: Light, strength: Float64Array) -> None:
    import mujoco

    kinds = mujoco.mjtLightType
    directional = light.kind == "directional"
    spec.worldbody.add_light(
        pos=light.position,
        dir=light.direction,
        diffuse=strength,
        specular=0.5 * strength,
        ambient=np.zeros(3),
        cutoff=45.0 if light.kind == "spot" else 180.0,
        exponent=0.0,
        castshadow=light.shadows and directional,
        type=kinds.mjLIGHT_DIRECTIONAL if directional else kinds.mjLIGHT_SPOT,
    )


def _display(linear: Float64Array) -> Float64Array:
    """Linear light to display values (IEC 61966-2-1), at most 1."""
    value = np.clip(linear, 0, 1)
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
