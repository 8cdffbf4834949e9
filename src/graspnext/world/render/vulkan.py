"""Asks the Vulkan loader whether a software rasteriser is there: Filament itself ends the process when it is not."""

from __future__ import annotations

import ctypes

_CPU_DEVICE = 4
"""VK_PHYSICAL_DEVICE_TYPE_CPU."""


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
    """The head of VkPhysicalDeviceProperties, and room for the rest of it."""

    _fields_ = (
        ("apiVersion", ctypes.c_uint32),
        ("driverVersion", ctypes.c_uint32),
        ("vendorID", ctypes.c_uint32),
        ("deviceID", ctypes.c_uint32),
        ("deviceType", ctypes.c_int),
        ("rest", ctypes.c_uint8 * 2048),
    )


def software_driver_problem() -> str | None:
    """Why no software Vulkan driver can be used, or None when one can."""
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
        devices = (ctypes.c_void_p * count.value)()
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), devices)
        for device in devices:
            properties = _DeviceProperties()
            vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(device), ctypes.byref(properties))
            if properties.deviceType == _CPU_DEVICE:
                return None
        return f"none of {count.value} Vulkan devices is a software rasteriser"
    finally:
        vulkan.vkDestroyInstance(instance, None)
