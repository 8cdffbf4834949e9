"""Named networks. Each is an ordinary `NetworkConfig`."""

from __future__ import annotations

from graspnext.errors import UnknownNameError
from graspnext.network.backbones.condenser import BackboneConfig
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackboneConfig, Trunk
from graspnext.network.config import NetworkConfig
from graspnext.network.heads.box import BoxHeadConfig
from graspnext.network.heads.dense import DenseHeadConfig
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHeadConfig
from graspnext.network.heads.mask import MaskHeadConfig
from graspnext.network.neck import NeckConfig
from graspnext.network.rpn import RpnConfig
from graspnext.network.sampling import SamplingConfig

FAST = NetworkConfig()

TINY = NetworkConfig(
    backbone=BackboneConfig(stem_channels=8, widths=(16, 24, 32, 48), depths=(1, 1, 1, 1)),
    neck=NeckConfig(width=32),
    rpn=RpnConfig(depth=1, candidates_training=100, proposals_training=30, candidates=150, proposals=60),
    box_head=BoxHeadConfig(depth=0, hidden=64),
    mask_head=MaskHeadConfig(roi_size=8, width=16, depth=1),
    dense_head=DenseHeadConfig(width=16, depth=1),
    sampling=SamplingConfig(box_rois=24, box_positives=12, mask_rois=6),
)
"""Learns toy pictures in seconds; for tests and for trying out pipelines."""


def _baseline(trunk: Trunk) -> NetworkConfig:
    """A baseline of the paper: a trunk of torchvision under the heads that all three share.

    Nothing public gives their sizes; these agree with the paper's parameters and MACs (docs/networks.md).
    """
    return NetworkConfig(
        backbone=TorchvisionBackboneConfig(trunk=trunk, norm="batch"),
        neck=NeckConfig(width=256, finest_conv=True),
        rpn=RpnConfig(
            finest_stride=4, depth=1, level_limits_px=(32.0, 64.0, 128.0, 256.0), candidates=1000, proposals=1000
        ),
        box_head=BoxHeadConfig(depth=0, hidden=1024),
        mask_head=HierarchicalMaskHeadConfig(),
        dense_head=DenseHeadConfig(width=256, depth=4, separate=True, stride=8),
    )


RESNET50 = _baseline("resnet50")
EFFICIENTNET_B0 = _baseline("efficientnet_b0")
MOBILENET_V3_LARGE = _baseline("mobilenet_v3_large")

PRESETS: dict[str, NetworkConfig] = {
    "fast": FAST,
    "resnet50": RESNET50,
    "efficientnet_b0": EFFICIENTNET_B0,
    "mobilenet_v3_large": MOBILENET_V3_LARGE,
    "tiny": TINY,
}
"""`fast` and the three baselines are the rows of the paper's table."""


def find_preset(name: str) -> NetworkConfig:
    """The preset of a name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]
