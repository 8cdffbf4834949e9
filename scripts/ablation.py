"""What each part of the recipe `modern` earns: `python scripts/ablation.py --data bench --out runs/ablation`.

With --structures: what changes of the network earn under that recipe. Trains `fast` once for every variant, all on the
same number of images from the same seed, and measures the averaged weights on views spread over `val`, so that `test`
and `novel` stay unseen. Variants that are finished are read, not repeated; one that was stopped goes on.
`ablation.json` and `ablation.md` are written after each.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graspnext.data.reader import Dataset
from graspnext.files import write_json, write_text
from graspnext.learning.checkpoint import load_run
from graspnext.learning.evaluate import evaluate
from graspnext.learning.recipes import Recipe, find_recipe
from graspnext.learning.run import hardware, read_summary
from graspnext.learning.table.protocols import find_protocol
from graspnext.learning.train import train
from graspnext.network.config import NetworkConfig
from graspnext.network.cost import profile_network
from graspnext.network.network import Network
from graspnext.network.pipeline import Pipeline
from graspnext.network.presets import find_preset

COLUMNS = {
    "amodal_box_ap": "box",
    "visible_mask_ap": "visible",
    "amodal_mask_ap": "amodal",
    "occlusion_accuracy": "occlusion",
    "center_of_mass_ap": "centre",
    "heatmap_mse": "MSE",
}


def base_recipe(images: int, batch: int, size: int) -> Recipe:
    """`modern` with every part under test switched off, over a number of images."""
    recipe = find_recipe("modern")
    return replace(
        recipe,
        steps=images // batch,
        balance="fixed",
        overlays_every=0,
        checkpoint_every=200,
        augmentation=replace(recipe.augmentation, size=size, scale_range=(0.5, 1.3), paste_probability=0.0),
        loader=replace(recipe.loader, batch_size=batch),
    )


def variants(base: Recipe) -> dict[str, Recipe]:
    """Name -> recipe; each differs from `base` in what its name says."""
    optimizer, augmentation = base.optimizer, base.augmentation
    paper = find_recipe("paper").optimizer

    def smaller(part: int) -> Recipe:
        loader = replace(base.loader, batch_size=base.loader.batch_size // part)
        return replace(base, steps=part * base.steps, loader=loader)

    return {
        "base": base,
        "base, another seed": replace(base, seed=1),
        "the paper's SGD": replace(base, optimizer=replace(paper, clip_norm=optimizer.clip_norm)),
        "the paper's SGD, averaged": replace(
            base, optimizer=replace(paper, clip_norm=optimizer.clip_norm, ema_decay=optimizer.ema_decay)
        ),
        "no averaging": replace(base, optimizer=replace(optimizer, ema_decay=0.0)),
        "steps instead of cosine": replace(base, optimizer=replace(optimizer, schedule="steps")),
        "large-scale jitter": replace(base, augmentation=replace(augmentation, scale_range=(0.3, 2.0))),
        "copy-paste": replace(base, augmentation=replace(augmentation, paste_probability=0.5)),
        "uncertainty weights": replace(base, balance="uncertainty"),
        "half the batch, twice the steps": smaller(2),
        "a quarter of the batch, four times the steps": smaller(4),
        "learning rate x 2": replace(base, optimizer=replace(optimizer, lr=2 * optimizer.lr)),
        "learning rate / 2": replace(base, optimizer=replace(optimizer, lr=optimizer.lr / 2)),
        "learning rate / 4": replace(base, optimizer=replace(optimizer, lr=optimizer.lr / 4)),
    }


def structures(base: NetworkConfig) -> dict[str, NetworkConfig]:
    """Name -> network; each differs from `base` in what its name says."""
    rpn = replace(base.rpn, finest_stride=4, depth=1, level_limits_px=(32.0, 64.0, 128.0, 256.0))
    finer = replace(base, rpn=rpn)
    return {
        "base": base,
        "proposals from stride 4, by one convolution": finer,
        "the same, with a 3x3 convolution at stride 4 of the pyramid": replace(
            finer, neck=replace(base.neck, finest_conv=True)
        ),
        "the same without it, 128 channels in the pyramid": replace(finer, neck=replace(base.neck, width=128)),
    }


def measure(
    name: str, recipe: Recipe, *, network: NetworkConfig, data: Path, out: Path, score: Callable[[Network], Any]
) -> dict[str, Any]:
    """Train one variant, or go on with it, and measure it."""
    run = out / "".join(letter if letter.isalnum() else "-" for letter in name)
    done = run / "ablation.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    train(network, data=data, out=run, recipe=recipe, resume=True)
    trained, _, _ = load_run(run)
    proposals, detections = network.rpn.proposals, network.max_detections
    cost = profile_network(network, 1200, proposals=proposals, detections=detections).to_dict()["total"]
    row = {
        "variant": name,
        "params_m": cost["params_m"],
        "gmacs_at_1200": cost["gmacs"],
        "images": recipe.steps * recipe.loader.batch_size,
        "wall_time_s": read_summary(run)["wall_time_s"],
        "metrics": score(trained)["metrics"],
    }
    write_json(done, row)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown, APs and accuracy in per cent."""
    lines = ["| variant | " + " | ".join(COLUMNS.values()) + " | mean of five | s |", "|---|" + "---|" * 8]
    for row in rows:
        metrics: Mapping[str, float] = row["metrics"]
        shares = [100 * metrics[name] for name in COLUMNS if name != "heatmap_mse"]
        cells = [f"{value:.1f}" for value in shares] + [f"{metrics['heatmap_mse']:.4f}"]
        cells += [f"{sum(shares) / len(shares):.1f}", f"{row['wall_time_s']:.0f}"]
        lines.append(f"| {row['variant']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the variants in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of the result")
    parser.add_argument("--preset", default="fast", help="network (default: fast)")
    parser.add_argument("--images", type=int, default=6400, help="images each variant sees (default: 6400)")
    parser.add_argument("--batch", type=int, default=8, help="images a step (default: 8)")
    parser.add_argument("--size", type=int, default=320, help="side of the crops, px (default: 320)")
    parser.add_argument("--protocol", help="of a table, whose budget and input size to take instead of those above")
    parser.add_argument("--views", type=int, default=150, help="views of val to measure on (default: 150)")
    parser.add_argument("--structures", action="store_true", help="variants of the network instead of the recipe")
    parser.add_argument("--only", nargs="*", help="names of variants; all when left out")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    base = base_recipe(options.images, options.batch, options.size)
    dataset = Dataset(options.data)
    network, input_size = find_preset(options.preset), max(dataset.info.image_size)
    if options.protocol:
        protocol = find_protocol(options.protocol)
        base, network = protocol.recipe, protocol.config(options.preset)
        input_size = protocol.evaluation.input_size

    def score(trained: Network) -> dict[str, Any]:
        return evaluate(Pipeline(trained, input_size).predict, dataset, "val", limit=options.views)

    chosen = {name: (recipe, network) for name, recipe in variants(base).items()}
    if options.structures:
        chosen = {name: (base, changed) for name, changed in structures(network).items()}
    rows = []
    for name, (recipe, changed) in chosen.items():
        if options.only and name not in options.only:
            continue
        row = measure(name, recipe, network=changed, data=options.data, out=options.out, score=score)
        rows.append(row)
        about = {"command": " ".join(sys.argv), "date": datetime.now(UTC).date().isoformat(), "hardware": hardware()}
        write_json(options.out / "ablation.json", {**about, "preset": options.preset, "rows": rows})
        write_text(options.out / "ablation.md", table(rows))
        sys.stdout.write(table(rows[-1:]).splitlines()[-1] + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
