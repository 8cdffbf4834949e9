"""The slow promise: sixteen drawn views are learnt to over 0.9 box AP at IoU 0.5, their other labels with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graspnext.network.build import build_network
from graspnext.network.network import Detections, Network
from graspnext.network.presets import find_preset
from graspnext.types import Targets

SIZE, VIEWS, STEPS = 128, 16, 900


def iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared
    return shared / union if union > 0 else 0.0


def match(found: Detections, targets: Targets) -> tuple[list[tuple[float, bool]], list[tuple[int, int]]]:
    """(score, hit) of every detection that counts, and (detection, instance) of the hits; greedy by score, as COCO."""
    records, pairs = [], []
    taken: set[int] = set()
    for row in range(int((found.scores > 0).sum())):
        ious = [iou(found.boxes[row].numpy(), box.numpy()) for box in targets.boxes]
        free = [k for k in range(len(ious)) if ious[k] >= 0.5 and k not in taken and not targets.ignore[k]]
        if free:
            best = max(free, key=lambda k: ious[k])
            taken.add(best)
            pairs.append((row, best))
            records.append((float(found.scores[row]), True))
        elif not any(ious[k] >= 0.5 and targets.ignore[k] for k in range(len(ious))):
            records.append((float(found.scores[row]), False))
    return records, pairs


def average_precision(records: list[tuple[float, bool]], total: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or beyond."""
    hits = np.array([hit for _, hit in sorted(records, key=lambda record: -record[0])])
    recall, precision = np.cumsum(hits) / total, np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(np.mean([precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)]))


def learn(network: Network, views: list[tuple[torch.Tensor, Targets]]) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))
        chosen = torch.randperm(VIEWS, generator=generator)[:4].tolist()
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = network.losses(
                torch.stack([views[k][0] for k in chosen]), [views[k][1] for k in chosen], generators=[generator] * 4
            )
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()


@pytest.mark.slow
def test_sixteen_views_are_learnt(draw_view) -> None:  # type: ignore[no-untyped-def]
    views = [draw_view(size=SIZE, count=8, rng=np.random.default_rng(k)) for k in range(VIEWS)]
    torch.manual_seed(0)
    network = build_network(find_preset("tiny"))
    learn(network, views)
    network.eval()
    records, occlusion, center_errors, suction_errors = [], [], [], []
    for image, targets in views:
        with torch.no_grad():
            found = network(image[None].float() / 255)
        scored, pairs = match(found, targets)
        records += scored
        suction_errors.append(float((found.suction - targets.suction).square().mean()))
        for row, k in pairs:
            occlusion.append(bool(found.occluded[row] > 0.5) == bool(targets.occluded[k]))
            size = float(targets.amodal_masks[k].sum()) ** 0.5
            center_errors.append(float((found.centers[row] - targets.centers[k]).norm()) / size)
    total = sum(int((~targets.ignore).sum()) for _, targets in views)
    assert average_precision(records, total) > 0.9
    assert np.mean(occlusion) > 0.8
    assert np.median(center_errors) < 0.1
    assert np.mean(suction_errors) < 0.01
