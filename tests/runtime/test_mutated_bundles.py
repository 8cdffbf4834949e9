"""A thousand damaged bundles whose hashes are right: each gives a result or a named error, and no process dies of it.

What the checks let through is compiled and run in both runtimes, by the very steps of a trial. Where that kills its
process, a user's program must live on, and get an error by name.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from graspnext.errors import BundleError
from graspnext.runtime.bundle import open_bundle

HERE = Path(__file__).parent
small_model = SimpleNamespace(**runpy.run_path(str(HERE / "small_model.py")))
mutations = SimpleNamespace(**runpy.run_path(str(HERE / "mutations.py")))
batches = SimpleNamespace(**runpy.run_path(str(HERE / "batches.py")))

MAX_KILLERS = 12
"""So many of what killed a process are given to a user's program, too."""
Files = dict[str, bytes]
Mutant = tuple[Files, bytes | None]
"""Files, and the card where it is not simply the one that fits them."""


def makers() -> dict[str, tuple[float, tuple[str, ...], Callable[[np.random.Generator], Mutant]]]:
    """Kind of damage -> share of all mutants, runtimes that read it, what makes one."""
    model = small_model.small_onnx()
    xml, constants = small_model.small_ir()
    plain: Files = {"model.onnx": model}
    both = plain | {"model.xml": xml, "model.bin": constants}
    card = json.dumps(small_model.small_card(plain)).encode()
    every, openvino = ("onnxruntime", "openvino"), ("openvino",)
    return {
        "onnx, bytes": (0.12, every, lambda rng: (plain | {"model.onnx": mutations.mutate_bytes(model, rng)}, None)),
        "onnx, meaning": (0.32, every, lambda rng: (plain | {"model.onnx": mutations.mutate_onnx(model, rng)}, None)),
        "xml, bytes": (0.06, openvino, lambda rng: (both | {"model.xml": mutations.mutate_bytes(xml, rng)}, None)),
        "xml, meaning": (0.22, openvino, lambda rng: (both | {"model.xml": mutations.mutate_xml(xml, rng)}, None)),
        "bin, bytes": (
            0.12,
            openvino,
            lambda rng: (both | {"model.bin": mutations.mutate_bytes(constants, rng)}, None),
        ),
        "card, bytes": (0.06, every, lambda rng: (plain, mutations.mutate_bytes(card, rng))),
        "card, meaning": (0.1, every, lambda rng: (plain, mutations.mutate_json(card, rng))),
    }


def accepted(kind: str, count: int, folder: Path, seed: int) -> tuple[list[Path], Counter[str]]:
    """Mutants that pass the checks, on disk; and how the others were refused."""
    make = makers()[kind][2]
    passed, refused = [], Counter[str]()
    for index in range(count):
        files, card = make(np.random.default_rng([seed, len(kind), index]))
        path = small_model.write_bundle(folder / f"{index:05d}", files, card)
        try:
            open_bundle(path)
        except BundleError as error:
            text = str(error)
            assert text.startswith(str(path)), text
            assert text.isprintable(), text
            assert len(text) < 1000, text
            refused[text.removeprefix(f"{path}/")[:80]] += 1
        else:
            passed.append(path)
    return passed, refused


def hunt(total: int, folder: Path, seed: int) -> dict[str, Counter[str]]:
    """Kind of damage -> what became of its mutants."""
    ends: dict[str, Counter[str]] = {}
    killers: list[tuple[Path, str]] = []
    for kind, (share, runtimes, _) in makers().items():
        count = round(share * total)
        passed, refused = accepted(kind, count, folder / kind, seed)
        assert len(refused) > 1 or sum(refused.values()) < 5, "many are refused, and all for one reason"
        ends[kind] = Counter(mutants=count, native=len(passed))
        for runtime in runtimes:
            answers = batches.run_jobs([{"path": str(path), "runtime": runtime} for path in passed])
            ends[kind] += Counter(batches.kinds(answers))
            for path, answer in zip(passed, answers, strict=True):
                assert not answer.startswith("escaped"), (path, answer)
                killers += [(path, runtime)] if answer.startswith(("crash", "hang")) else []
    for killer in killers[:MAX_KILLERS]:
        must_survive(*killer)
    return ends


def must_survive(path: Path, runtime: str) -> None:
    """What kills a process kills the trial's and not the user's, who gets its name."""
    program = """
import sys
import numpy as np
from graspnext.errors import BundleError
from graspnext.runtime.predictor import Predictor
try:
    Predictor(sys.argv[1], runtime=sys.argv[2], num_threads=1).predict(np.zeros((48, 64, 3), dtype=np.uint8))
except BundleError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(path), runtime]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (path, runtime, done.stderr[-500:])
    assert not done.stdout or "it failed on trial: " in done.stdout, done.stdout


def report(ends: dict[str, Counter[str]]) -> str:
    lines = [f"{kind}: {dict(counts)}" for kind, counts in ends.items()]
    whole = sum(ends.values(), Counter[str]())
    return "\n".join([*lines, f"{whole['native'] / whole['mutants']:.0%} of {whole['mutants']} reached native code"])


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")


@forks
def test_a_thousand_mutated_bundles(tmp_path: Path) -> None:
    ends = hunt(1_000, tmp_path, seed=0)
    sys.stdout.write(report(ends))
    whole = sum(ends.values(), Counter[str]())
    assert whole["mutants"] == 1_000
    assert whole["native"] > 300
    assert whole["error"] > 200
    assert whole["ran"] > 100


@forks
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_twenty_thousand_mutated_bundles(tmp_path: Path, seed: int) -> None:
    sys.stdout.write(report(hunt(1_000, tmp_path, seed)))
