"""Asks the Vulkan loader what it can draw on: Filament itself ends the process when it finds nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KINDS: Final = {0: "other", 1: "integrated", 2: "discrete", 3: "virtual", 4: "cpu"}
"""VkPhysicalDeviceType."""
_GPUS: Final = ("discrete", "integrated", "virtual")
"""By preference."""
_NAME_SIZE: Final = 256
"""VK_MAX_PHYSICAL_DEVICE_NAME_SIZE."""


class _InstanceInfo(ctypes.Structure):
    """VkInstanceCreateInfo with nothing asked for."""

    _fields_ = (
        ("sType", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.c_void_p),
        ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p),
        ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.c_void_p),
    )


class _DeviceProperties(ctypes.Structure):
    """The head of VkPhysicalDeviceProperties, and room for the rest of it (limits and sparse properties, 568 bytes)."""

    _fields_ = (
        ("apiVersion", ctypes.c_uint32),
        ("driverVersion", ctypes.c_uint32),
        ("vendorID", ctypes.c_uint32),
        ("deviceID", ctypes.c_uint32),
        ("deviceType", ctypes.c_int),
        ("deviceName", ctypes.c_char * _NAME_SIZE),
        ("rest", ctypes.c_uint64 * 256),
    )


@dataclass(frozen=True)
class Device:
    """One thing that Vulkan can draw on."""

    name: str
    kind: str
    """A value of `KINDS`."""


def find_devices() -> tuple[Device, ...] | str:
    """Every Vulkan device in the loader's order, or why none can be asked for."""
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError:
        return "the Vulkan loader libvulkan.so.1 is not installed"
    instance = ctypes.c_void_p()
    info = _InstanceInfo(sType=1)  # VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
    if (code := vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance))) != 0:
        return f"no Vulkan driver is installed (vkCreateInstance: {code})"
    try:
        count = ctypes.c_uint32(0)
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
        handles = (ctypes.c_void_p * count.value)()
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        devices = []
        for handle in handles[: count.value]:
            properties = _DeviceProperties()
            vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), ctypes.byref(properties))
            name = properties.deviceName.decode("utf-8", "replace")
            devices.append(Device(name, KINDS.get(properties.deviceType, "other")))
        return tuple(devices)
    finally:
        vulkan.vkDestroyInstance(instance, None)


def find_gpu(devices: Sequence[Device]) -> Device | None:
    """The device to draw on: a discrete GPU before an integrated before a virtual one; None when there is no GPU."""
    for kind in _GPUS:
        for device in devices:
            if device.kind == kind:
                return device
    return None


def find_cpu(devices: Sequence[Device]) -> Device | None:
    """The software rasteriser, or None when none is installed."""
    return next((device for device in devices if device.kind == "cpu"), None)
