"""The paper's own table, and what we aim at.

Source: Wong et al., Fast GraspNeXt: A Fast Self-Attention Neural Network Architecture for Multi-task Learning in
Computer Vision Tasks for Robotic Grasping on the Edge, arXiv 2304.11196, 2023, tables 1 and 2.
"""

from __future__ import annotations

from typing import Any

PAPER: dict[str, dict[str, float]] = {
    "resnet50": {
        "amodal_box_ap": 0.850,
        "visible_mask_ap": 0.849,
        "amodal_mask_ap": 0.841,
        "occlusion_accuracy": 0.772,
        "center_of_mass_ap": 0.753,
        "heatmap_mse": 0.0113,
        "params_m": 92.1,
        "gmacs": 1314,
        "latency_ms": 3501,
    },
    "efficientnet_b0": {
        "amodal_box_ap": 0.846,
        "visible_mask_ap": 0.850,
        "amodal_mask_ap": 0.838,
        "occlusion_accuracy": 0.817,
        "center_of_mass_ap": 0.826,
        "heatmap_mse": 0.0189,
        "params_m": 72.0,
        "gmacs": 1183,
        "latency_ms": 2972,
    },
    "mobilenet_v3_large": {
        "amodal_box_ap": 0.843,
        "visible_mask_ap": 0.846,
        "amodal_mask_ap": 0.837,
        "occlusion_accuracy": 0.807,
        "center_of_mass_ap": 0.812,
        "heatmap_mse": 0.0104,
        "params_m": 70.9,
        "gmacs": 1189,
        "latency_ms": 2712,
    },
    "fast": {
        "amodal_box_ap": 0.879,
        "visible_mask_ap": 0.854,
        "amodal_mask_ap": 0.850,
        "occlusion_accuracy": 0.851,
        "center_of_mass_ap": 0.846,
        "heatmap_mse": 0.0095,
        "params_m": 17.8,
        "gmacs": 259,
        "latency_ms": 1106,
    },
}
"""Row -> its numbers: MetaGraspNet, 1200x1200, batch 1, Jetson TX2. What the paper calls FLOPs are MACs."""

AIMS: dict[str, Any] = {"row": "fast", "params_m": 8.9, "gmacs": 100, "speedup": 10}
"""Of `fast`: at most so many parameters and multiply-accumulates, at least so many times the speed of `resnet50`."""
