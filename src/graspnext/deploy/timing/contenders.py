"""What is benchmarked: bundles as they are; training runs and presets as the bundles that they would become."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
import torch

from graspnext.deploy.export import ExportConfig, describe, freeze
from graspnext.deploy.model.bundle_files import Extras, write_files
from graspnext.deploy.model.onnx_file import round_weights
from graspnext.deploy.model.parts import split
from graspnext.deploy.timing.contestant import run_job
from graspnext.errors import UnknownNameError
from graspnext.files import write_bytes
from graspnext.learning.checkpoint import CONFIG_FILE, load_run
from graspnext.network.build import build_network
from graspnext.network.config import NetworkConfig
from graspnext.network.network import Network
from graspnext.network.pipeline import Pipeline, fitting_input_size
from graspnext.network.presets import PRESETS, find_preset
from graspnext.runtime.bundle import Bundle, open_bundle
from graspnext.runtime.card import CARD_FILE, Card
from graspnext.runtime.images import read_image

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """What a word of the command line means."""

    kind: Literal["preset", "run", "bundle"]
    where: str
    """The preset's name, or the folder."""
    name: str
    """In the results."""
    seed: int = 0
    """Of a preset's random weights."""


@dataclass(frozen=True)
class Contender:
    """A network, ready to be opened in every form that it has."""

    name: str
    about: Mapping[str, Any]
    """What kind of thing it is, its weights, its sizes and its cost."""
    bundles: Mapping[str, Path]
    """Precision -> folder."""
    parts: Mapping[str, Mapping[str, str]]
    """Precision -> `pre`, `network` and `post` -> ONNX file, in the order in which one feeds the next."""
    torch_spec: Mapping[str, Any] | None
    """What a process needs to run it in torch; None for bundles, which are frozen."""


@dataclass(frozen=True)
class Preparation:
    """How contenders are made."""

    size: int
    """Side px of the pictures; presets and runs get the next multiple of 32 as their input."""
    precisions: Collection[str]
    """That will be timed."""
    frames: Sequence[str] = ()
    """Paths of pictures that quantisation is calibrated on: for speed alone, since values never change how long 8 bits
    take."""
    parts: bool = True
    """Whether pre-processing, network and post-processing are wanted as models of their own, too."""


def find_sources(words: Sequence[str], *, seed: int) -> list[Source]:
    """The meaning of words: names of presets, folders of runs, folders of bundles.

    Raises:
        UnknownNameError: A word is none of these.
    """
    found: list[Source] = []
    for word in words:
        path = Path(word)
        name = word if word in PRESETS else path.resolve().name
        taken = {source.name for source in found}
        name = name if name not in taken else word if word not in taken else f"{word} ({len(found) + 1})"
        if word in PRESETS:
            found.append(Source("preset", word, name, seed))
        elif (path / CARD_FILE).is_file():
            found.append(Source("bundle", word, name))
        elif (path / CONFIG_FILE).is_file():
            found.append(Source("run", word, name))
        else:
            raise UnknownNameError(
                "bundle, run or preset", word, [*PRESETS, "a folder of a bundle or of a training run"]
            )
    return found


def load_network(source: Mapping[str, Any]) -> Network:
    """The network of a preset or of a run, from the fields of its `Source`."""
    if source["kind"] == "run":
        return load_run(Path(source["where"]))[0]
    return random_network(find_preset(source["where"]), seed=source["seed"])


def random_network(config: NetworkConfig, *, seed: int) -> Network:
    """A network with random weights whose predictions differ from place to place.

    A fresh network says the same everywhere, so that its proposals are one box, many times. Here the layers that speak
    last are drawn wide: boxes differ in size and score, suppression has work to do, and all rows of the result are
    filled, as in a full bin.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(config).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.dim() >= 2 and any(word in name for word in ("rpn.predict", "box_head.score", "delta")):
                    width = (0.3 if "delta" in name else 1.0) / parameter[0].numel() ** 0.5
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * width)
    return network


def prepare_apart(source: Source, folder: Path, preparation: Preparation) -> Contender:
    """`prepare` in a process of its own, since exporting and quantising leave gigabytes behind.

    Raises:
        WorkerError: A bundle is damaged, or a run cannot be read.
    """
    logger.info("benchmark: preparing %s", source.name)
    preparing = {**asdict(preparation), "precisions": list(preparation.precisions)}
    made = run_job({"job": "prepare", "source": asdict(source), "folder": str(folder), "preparation": preparing})
    bundles = {precision: Path(path) for precision, path in made["bundles"].items()}
    return Contender(made["name"], made["about"], bundles, made["parts"], made["torch_spec"])


def prepare(source: Source, folder: Path, preparation: Preparation) -> Contender:
    """Make the bundles and the sub-models of one network.

    Args:
        source: Which.
        folder: Empty, for what is made.
        preparation: For which pictures and precisions.

    Raises:
        BundleError: A bundle is damaged.
        RunError: A run cannot be read.
    """
    if source.kind == "bundle":
        frozen, torch_spec = Path(source.where), None
    else:
        input_size = fitting_input_size(preparation.size)
        frozen = _freeze_to(folder / "fp32", source, input_size)
        torch_spec = {"source": asdict(source), "input_size": input_size}
    opened = open_bundle(frozen)
    own = opened.card.precision
    if own == "int8":
        bundles = {"int8": frozen}
    else:
        bundles = {precision: frozen for precision in preparation.precisions if precision != "int8"}
        if "int8" in preparation.precisions:
            bundles["int8"] = _quantise_to(folder / "int8", opened, preparation.frames)
    files: dict[Path, dict[str, str]] = {}
    for bundle in dict.fromkeys(bundles.values() if preparation.parts else ()):
        content = open_bundle(bundle).model
        files[bundle] = _write_parts(folder / f"{bundle.name}_parts", content)
    parts = {precision: files[bundle] for precision, bundle in bundles.items() if bundle in files}
    return Contender(source.name, _about(source, opened.card), bundles, parts, torch_spec)


def _about(source: Source, card: Card) -> dict[str, Any]:
    weights = {"preset": f"random, seed {source.seed}", "run": "trained", "bundle": "trained"}[source.kind]
    rpn = card.architecture.get("rpn", {})
    return {
        "kind": source.kind,
        "weights": weights,
        "input_size": card.input_size,
        "params_m": round(card.cost.params_m, 3),
        "gmacs": None if card.cost.gmacs is None else round(card.cost.gmacs, 2),
        "proposals": rpn.get("proposals"),
        "rows": card.max_detections,
    }


def _freeze_to(folder: Path, source: Source, input_size: int) -> Path:
    """Write a bundle as export would, but for the comparison of its outputs."""
    network = load_network(asdict(source))
    config = find_preset(source.where) if source.kind == "preset" else load_run(Path(source.where))[1]
    pipeline = Pipeline(network, input_size)
    round_weights(pipeline)
    model = freeze(pipeline, half=True)
    name = source.name if source.kind == "preset" else "run"
    write_files(folder, describe(model, config, {}, ExportConfig(input_size=input_size, name=name)), model, Extras())
    return folder


def _quantise_to(folder: Path, bundle: Bundle, frames: Sequence[str]) -> Path:
    """Write the bundle of the same network in 8 bits."""
    from graspnext.deploy.model.quantise import QuantiseConfig, quantise

    model, _ = quantise(bundle.model, [read_image(path) for path in frames[:1]], config=QuantiseConfig())
    write_files(folder, bundle.card.model_copy(update={"precision": "int8"}), model, Extras())
    return folder


def _write_parts(folder: Path, model: bytes) -> dict[str, str]:
    files = {}
    parts = split(onnx.load_model_from_string(model))
    if not parts:  # a bundle that was exported before its layers had names
        logger.warning("benchmark: pre, network and post of %s cannot be told apart; export it again", folder.name)
    for name, part in parts.items():
        path = folder / f"{name}.onnx"
        write_bytes(path, part.SerializeToString())
        files[name] = str(path)
    return files
