"""The training loop, from a preset and a dataset to averaged weights; start reading at `train`."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from graspnext.data.loader import Batch, Shard, TrainLoader
from graspnext.data.reader import Dataset
from graspnext.errors import ConfigError, RunError
from graspnext.learning.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    load_checkpoint,
    read_config,
    save_checkpoint,
    save_tensors,
)
from graspnext.learning.distribution import Processes, join_processes, local_rank
from graspnext.learning.feed import feed
from graspnext.learning.interruption import heed_signals
from graspnext.learning.monitor import Monitor
from graspnext.learning.progress import Watch, describe
from graspnext.learning.recipes import Recipe
from graspnext.learning.run import Log, only_writer, open_run, write_summary
from graspnext.learning.update import Learner, Update
from graspnext.network.backbones.pretrained import load_backbone_weights
from graspnext.network.backbones.torchvision_trunk import MIN_BATCH, TorchvisionBackboneConfig
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.network import Network

logger = logging.getLogger(__name__)


def train(
    preset: NetworkConfig, *, data: Path, out: Path, recipe: Recipe, resume: bool, weights: Path | None = None
) -> Path:
    """Train a network, alone or as one of several processes (see `learning.distribution`).

    On one CPU the result depends on preset, recipe, dataset and starting weights alone: a run that was killed and
    resumed ends in the same weights, bit for bit, as one that was not. With more processes, or a batch taken in more
    parts, it is the same up to rounding, but for batch norms.

    Args:
        preset: The network; `with_fitting_norms` may change it.
        data: Dataset folder; its `train` split is learnt from.
        out: Folder of the run (see `learning.run`).
        recipe: Everything else.
        resume: Go on with the run in `out` where there is one.
        weights: Weights of the backbone to start from, a .safetensors file; random ones when None.

    Returns:
        The file of the averaged weights.

    Raises:
        RunError: `out` holds a run and `resume` is false, or one with other settings; or the loss left the numbers.
        DatasetError: The dataset cannot be read.
        ConfigError: The recipe asks for a device that is not there, or its batch does not divide among the processes.
        WeightsError: The file of starting weights cannot be read, or is not of this backbone.
        WorkerError: Another process of the training has ended.
        OutputError: The run's folder cannot be written.
        KeyboardInterrupt: A signal asked it to stop; the present state is saved.
    """
    dataset, stopped = Dataset(data), None
    with join_processes(find_device(recipe)) as processes, ExitStack() as stack:
        shard = Shard(processes.rank, processes.world)
        loader = TrainLoader(dataset, "train", recipe.augmentation, recipe.loader, recipe.seed, shard)
        preset = with_fitting_norms(preset, recipe.loader.batch_size // (recipe.accumulate * processes.world), out)
        network = start_network(preset, recipe, weights)  # a file that does not fit leaves no folder behind
        if processes.first:
            stack.enter_context(only_writer(out))
            open_run(out, preset=preset, recipe=recipe, data=data, resume=resume, weights=weights)
        processes.wait()
        if not (out / WEIGHTS_FILE).exists():
            network = network.to(processes.device).to(memory_format=torch.channels_last)
            late = int(processes.device.type == "cuda")
            learner = Learner(network.train(), recipe, out=out, processes=processes, late=late)
            stopped = _learn(learner, loader, dataset, out=out, processes=processes)
        elif processes.first:
            logger.info("%s is finished already", out)
    if stopped is not None:  # raised only here: the processes have parted in good order
        raise KeyboardInterrupt(f"{out}: stopped and saved after step {stopped}; go on with --resume")
    return out / WEIGHTS_FILE


def with_fitting_norms(preset: NetworkConfig, images: int, out: Path) -> NetworkConfig:
    """The same network, its trunk with group norms where parts of a batch are too small for batch statistics.

    Args:
        preset: Any network.
        images: In each part of a batch that is learnt from at once.
        out: Folder of the run; one that goes on keeps the norms that it was started with.

    Raises:
        RunError: The run's settings cannot be read.
    """
    backbone = preset.backbone
    if not isinstance(backbone, TorchvisionBackboneConfig) or backbone.norm != "batch":
        return preset
    if (out / CONFIG_FILE).exists():
        norm = read_config(out)["preset"]["backbone"].get("norm")
        if norm not in ("batch", "group"):
            return preset
        if norm == "batch" and images < MIN_BATCH:
            logger.info(
                "backbone: batch norms as before, though %d images at once are few for their statistics", images
            )
        return replace(preset, backbone=replace(backbone, norm=norm))
    if images >= MIN_BATCH:
        return preset
    logger.info("backbone: group norms, since %d images at once are too few for batch statistics", images)
    return replace(preset, backbone=replace(backbone, norm="group"))


def start_network(preset: NetworkConfig, recipe: Recipe, weights: Path | None) -> Network:
    """The network as training finds it: random weights from the recipe's seed, its backbone's from a file."""
    torch.manual_seed(recipe.seed)
    network = build_network(preset)
    if weights is not None:
        logger.info("backbone: %s", load_backbone_weights(network, weights).summary())
    return network.double() if recipe.precision == "fp64" else network


def _learn(learner: Learner, loader: TrainLoader, dataset: Dataset, *, out: Path, processes: Processes) -> int | None:
    """From the last checkpoint, or the start, to the averaged weights; or to the step where a signal stopped it."""
    recipe = learner.recipe
    start, spent_s = _restore(learner, out, processes)
    watch = Watch(recipe, start, spent_s)
    with ExitStack() as stack:
        # Closing the batches ends their workers, come what may.
        shares = stack.enter_context(closing(cast("Generator[Batch]", loader.batches(start))))
        interruption = stack.enter_context(heed_signals())
        recorder = _Recorder(out, learner, dataset, watch, start=start) if processes.first else None
        if recorder is not None:
            stack.callback(recorder.monitor.close)
        batches = watch.time_waits(feed(shares, processes.device))
        for step, batch in zip(range(start, recipe.steps), batches, strict=False):
            update = learner.learn(batch, step, leaving=interruption.asked)
            done = step + 1
            if learner.guard.leaving or _due(recipe, done):
                learner.guard.settle()  # nothing is written of a step whose values nobody has seen
                stopping = learner.guard.leaving  # and all processes know whether one is to stop
                if recorder is not None:
                    recorder.record(done, update, stopping=stopping)
                if stopping and done < recipe.steps:
                    processes.wait()  # where one process ends, launchers end the others, and the first may be saving
                    return done
    if recorder is not None:
        recorder.finish()
    processes.wait()
    return None


def _restore(learner: Learner, out: Path, processes: Processes) -> tuple[int, float]:
    """Put the run's last checkpoint into the learner; steps done and seconds spent.

    Raises:
        RunError: The checkpoint is damaged, or the processes do not see the same one.
    """
    checkpoint = load_checkpoint(out)
    if checkpoint is not None:
        learner.restore(checkpoint)
    start = 0 if checkpoint is None else checkpoint.step
    mean = torch.tensor([start], dtype=torch.float64, device=processes.device)
    processes.average([mean])
    if mean.item() != start:
        raise RunError(out, "not all processes see the same checkpoint", "put the folder on a disk that they share")
    if checkpoint is None:
        return 0, 0.0
    if processes.first:
        logger.info("going on after step %d", start)
    return start, checkpoint.elapsed_s


def _due(recipe: Recipe, done: int) -> list[str]:
    """What is to be written after so many steps."""
    every = {"line": recipe.log_every, "checkpoint": recipe.checkpoint_every, "pictures": recipe.overlays_every}
    return [name for name, steps in every.items() if steps and (done % steps == 0 or done == recipe.steps)]


class _Recorder:
    """Writes the run's folder while the first process learns."""

    def __init__(self, out: Path, learner: Learner, dataset: Dataset, watch: Watch, *, start: int) -> None:
        self._out, self._learner, self._watch = out, learner, watch
        self._log = Log(out, start_step=start)
        self.monitor = Monitor(out, learner.recipe, dataset)

    def record(self, done: int, update: Update, *, stopping: bool) -> None:
        """Write what is due after `done` steps, and a checkpoint in any case before a stop."""
        recipe = self._learner.recipe
        due = _due(recipe, done)
        if "line" in due:
            line = self._watch.line(done, update)
            if self._learner.balance is not None:
                line["factors"] = {name: round(value, 4) for name, value in self._learner.balance.factors().items()}
            self._log.append(line)
            logger.info(describe(line, recipe))
            self.monitor.line(line)
        if stopping or "checkpoint" in due:
            save_checkpoint(self._out, self._learner.checkpoint(done, self._watch.elapsed_s()))
        if "pictures" in due:
            with self._learner.average.worn_by(self._learner.network):
                self.monitor.pictures(self._learner.network, done)

    def finish(self) -> None:
        """Write summary and weights; the weights last, since their presence says that the run is finished."""
        steps = self._learner.recipe.steps
        write_summary(self._out, self._learner.recipe, elapsed_s=self._watch.elapsed_s())
        save_tensors(self._out / WEIGHTS_FILE, self._learner.average.tensors, {"step": steps})


def find_device(recipe: Recipe) -> torch.device:
    """The device that the recipe asks for; each process of a machine takes the GPU of its own number.

    Raises:
        ConfigError: It asks for a GPU and there is none, or there are fewer than processes.
    """
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", recipe.device, "auto or cpu on this machine: torch sees no GPU")
    if recipe.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if local_rank() >= count:
        raise ConfigError("the number of processes", local_rank() + 1, f"at most {count}, the GPUs of this machine")
    torch.cuda.set_device(local_rank())
    return torch.device("cuda", local_rank())
