"""The training loop, from a preset and a dataset to averaged weights; start reading at `train`."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from graspnext.data.loader import TrainLoader
from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError
from graspnext.files import write_json
from graspnext.learning.checkpoint import (
    CHECKPOINT_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_tensors,
)
from graspnext.learning.failure import Batch, stop_on_bad_loss
from graspnext.learning.optimizer import (
    WeightAverage,
    build_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
)
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import SUMMARY_FILE, Log, hardware, open_run
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.network import Network
from graspnext.types import Targets

logger = logging.getLogger(__name__)


def train(preset: NetworkConfig, *, data: Path, out: Path, recipe: Recipe, resume: bool) -> Path:
    """Train a network.

    On one CPU the result depends on preset, recipe and dataset alone: a run that was killed and resumed ends in the
    same weights, bit for bit, as one that was not.

    Args:
        preset: The network.
        data: Dataset folder; its `train` split is learnt from.
        out: Folder of the run (see `learning.run`).
        recipe: Everything else.
        resume: Go on with the run in `out` where there is one.

    Returns:
        The file of the averaged weights.

    Raises:
        RunError: `out` holds a run and `resume` is false, or one with other settings; or the loss left the numbers.
        DatasetError: The dataset cannot be read.
        ConfigError: The recipe asks for a device that is not there.
    """
    dataset = Dataset(data)
    device = find_device(recipe)
    loader = TrainLoader(dataset, "train", recipe.augmentation, recipe.loader, recipe.seed)
    open_run(out, preset=preset, recipe=recipe, data=data, resume=resume)
    if (out / WEIGHTS_FILE).exists():
        logger.info("%s is finished already", out)
        return out / WEIGHTS_FILE

    torch.manual_seed(recipe.seed)
    network = build_network(preset).to(device).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(network, recipe.optimizer)
    average = WeightAverage(network, recipe.optimizer.ema_decay)
    start, spent_s = _restore(out, network, optimizer, average)
    log, watch = Log(out, start_step=start), _Watch(recipe, start, spent_s)

    with closing(cast("Generator[Batch]", loader.batches(start))) as batches:  # ends its workers, come what may
        for step, (images, targets) in zip(range(start, recipe.steps), watch.time_waits(batches), strict=False):
            set_learning_rate(optimizer, recipe.learning_rate(step))
            losses = compute_losses(network, images, targets, recipe=recipe, step=step)
            total = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimizer.clip_norm)
            stop_on_bad_loss(out, network, (images, targets), losses=losses, norm=norm, step=step)
            optimizer.step()
            average.update(network, step)

            done = step + 1
            if done % recipe.log_every == 0 or done == recipe.steps:
                line = watch.line(done, len(images), losses={**losses, "total": total}, grad_norm=norm)
                log.append(line)
                logger.info(_progress(line, recipe))
            if done % recipe.checkpoint_every == 0 or done == recipe.steps:
                state = Checkpoint(
                    step=done,
                    elapsed_s=watch.elapsed_s(),
                    model=network.state_dict(),
                    average=average.tensors,
                    optimizer=optimizer_tensors(network, optimizer),
                )
                save_checkpoint(out, state)
    return _finish(out, average, recipe, watch)


def compute_losses(
    network: Network, images: Tensor, targets: list[Targets], *, recipe: Recipe, step: int
) -> dict[str, Tensor]:
    """The weighted losses by name of one batch.

    All random numbers of a step follow from (seed, step), so a resumed run draws what it would have drawn.

    Args:
        network: In training mode.
        images: (B, 3, S, S) uint8, RGB.
        targets: One for each image.
        recipe: Gives seed and precision.
        step: Index of the batch.
    """
    device = next(network.parameters()).device
    torch.manual_seed((recipe.seed << 32) + step)
    generator = torch.Generator(device=device).manual_seed((recipe.seed << 32) + step)
    images = images.to(device, non_blocking=True)
    targets = [target.to(device) for target in targets]
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
        return network.losses(images, targets, generator=generator)


def find_device(recipe: Recipe) -> torch.device:
    """The device that the recipe asks for.

    Raises:
        ConfigError: It asks for a GPU and there is none.
    """
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", recipe.device, "auto or cpu on this machine: torch sees no GPU")
    use_gpu = recipe.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def _restore(
    out: Path, network: Network, optimizer: torch.optim.Optimizer, average: WeightAverage
) -> tuple[int, float]:
    """Put the run's last checkpoint into network, optimizer and average; steps done and seconds spent."""
    checkpoint = load_checkpoint(out)
    if checkpoint is None:
        return 0, 0.0
    load_weights(network, checkpoint.model, out / CHECKPOINT_FILE)
    restore_optimizer(network, optimizer, checkpoint.optimizer)
    average.restore(checkpoint.average)
    logger.info("going on after step %d", checkpoint.step)
    return checkpoint.step, checkpoint.elapsed_s


def _finish(out: Path, average: WeightAverage, recipe: Recipe, watch: _Watch) -> Path:
    """Write summary and weights; the weights last, since their presence says that the run is finished."""
    summary = {"steps": recipe.steps, "wall_time_s": round(watch.elapsed_s(), 1), "hardware": hardware()}
    write_json(out / SUMMARY_FILE, summary)
    save_tensors(out / WEIGHTS_FILE, average.tensors, {"step": recipe.steps})
    return out / WEIGHTS_FILE


class _Watch:
    """Times the loop: speed, the share of it spent waiting for data, memory, time left."""

    def __init__(self, recipe: Recipe, start: int, spent_s: float) -> None:
        self.recipe, self.spent_s, self.begin = recipe, spent_s, time.monotonic()
        self.start = self.last_step = start
        self.last_time, self.waited_s = self.begin, 0.0

    def elapsed_s(self) -> float:
        """Seconds of training so far, over all starts of the run."""
        return self.spent_s + time.monotonic() - self.begin

    def time_waits(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; remembers how long the loop waited for them."""
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self.waited_s += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def line(self, step: int, batch_size: int, *, losses: dict[str, Tensor], grad_norm: Tensor) -> dict[str, Any]:
        """One line of the log, for the steps since the last one. The only place that waits for a device's values."""
        values = {name: round(float(value.detach()), 6) for name, value in losses.items()}
        now = time.monotonic()
        span, steps = max(now - self.last_time, 1e-9), step - self.last_step
        line = {
            "step": step,
            "losses": values,
            "grad_norm": round(float(grad_norm), 4),
            "lr": self.recipe.learning_rate(step - 1),
            "images_per_s": round(steps * batch_size / span, 3),
            "data_wait_share": round(self.waited_s / span, 4),
            "memory_mb": round(_memory_mb()),
            "elapsed_s": round(self.elapsed_s(), 1),
            "left_s": round((now - self.begin) / (step - self.start) * (self.recipe.steps - step)),
        }
        self.last_time, self.last_step, self.waited_s = now, step, 0.0
        return line


def _memory_mb() -> float:
    """Peak memory: of the GPU where one is used, otherwise of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _progress(line: dict[str, Any], recipe: Recipe) -> str:
    """One line of the log for people."""
    minutes, seconds = divmod(line["left_s"], 60)
    parts = " ".join(f"{name} {value:.3f}" for name, value in line["losses"].items() if name != "total")
    return (
        f"step {line['step']}/{recipe.steps}  loss {line['losses']['total']:.3f} ({parts})  "
        f"{line['images_per_s']:.1f} images/s, {100 * line['data_wait_share']:.0f} % waiting for data, "
        f"{minutes} min {seconds:02d} s left"
    )
