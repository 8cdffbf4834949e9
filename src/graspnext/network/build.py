"""The one place that turns sizes into parts. Read it as a table of the architecture."""

from __future__ import annotations

from torch import nn

from graspnext.network.backbones.condenser import BackboneConfig, CondenserBackbone
from graspnext.network.backbones.torchvision_trunk import TorchvisionBackbone, TorchvisionBackboneConfig
from graspnext.network.blocks.roi import RoiLevels
from graspnext.network.config import NetworkConfig
from graspnext.network.heads.box import BoxHead
from graspnext.network.heads.dense import DenseHead
from graspnext.network.heads.hierarchical_mask import HierarchicalMaskHead, HierarchicalMaskHeadConfig
from graspnext.network.heads.mask import MaskHead, MaskHeadConfig
from graspnext.network.neck import STRIDES, FeaturePyramid
from graspnext.network.network import Network, NetworkParts, NetworkSettings
from graspnext.network.rpn import RegionProposals

__all__ = ["NetworkConfig", "build_network"]

ROI_LEVELS = 3
"""RoIs are pooled from the first levels, strides 4 to 16; larger boxes have cells enough there."""


def build_network(config: NetworkConfig) -> Network:
    """A network with fresh weights, drawn from torch's global generator.

    Args:
        config: All sizes.
    """
    width = config.neck.width
    parts = NetworkParts(
        backbone=_backbone(config.backbone),
        neck=FeaturePyramid(config.backbone.widths, config.neck),
        rpn=RegionProposals(width, STRIDES[STRIDES.index(config.rpn.finest_stride) :], config.rpn),
        box_head=BoxHead(width, config.box_head),
        mask_head=_mask_head(width, config.mask_head),
        dense_head=DenseHead(width, config.dense_head),
    )
    settings = NetworkSettings(
        max_detections=config.max_detections,
        roi_levels=RoiLevels(STRIDES[:ROI_LEVELS], config.roi_finest_limit_px),
        sampling=config.sampling,
        loss_weights=config.loss_weights,
    )
    return Network(parts, settings)


def _backbone(config: BackboneConfig | TorchvisionBackboneConfig) -> nn.Module:
    return CondenserBackbone(config) if isinstance(config, BackboneConfig) else TorchvisionBackbone(config)


def _mask_head(width: int, config: MaskHeadConfig | HierarchicalMaskHeadConfig) -> MaskHead | HierarchicalMaskHead:
    return MaskHead(width, config) if isinstance(config, MaskHeadConfig) else HierarchicalMaskHead(width, config)
