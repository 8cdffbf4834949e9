"""Two thousand damaged pictures, from the file to the prediction: a result or a named error, and no process dies."""

from __future__ import annotations

import io
import re
import runpy
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
small_model = SimpleNamespace(**runpy.run_path(str(HERE / "small_model.py")))
mutations = SimpleNamespace(**runpy.run_path(str(HERE / "mutations.py")))
batches = SimpleNamespace(**runpy.run_path(str(HERE / "batches.py")))

Mutate = Callable[[bytes, np.random.Generator], bytes]
_PICTURE = np.kron(np.random.default_rng(0).integers(0, 256, (5, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)
_FORMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {}),
    ("PNG", "1", {}),
    ("PNG", "I;16", {}),
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True}),
    ("JPEG", "CMYK", {"quality": 30}),
    ("TIFF", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "L", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "I;16", {}),
    ("TIFF", "F", {"compression": "packbits"}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
)


def originals() -> list[tuple[str, bytes]]:
    """Format and content of undamaged files, with EXIF where the format takes it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    found = []
    for form, mode, options in _FORMS:
        if mode == "I;16":
            picture = Image.fromarray(_PICTURE[..., 0].astype(np.uint16) * 257)
        else:
            picture = Image.fromarray(_PICTURE).convert(mode)
        stream = io.BytesIO()
        picture.save(stream, format=form, **options, **({} if form == "BMP" else {"exif": exif}))
        found.append((form, stream.getvalue()))
    return found


def mutators(form: str) -> list[Mutate]:
    known: list[Mutate] = [mutations.mutate_bytes, mutations.mutate_numbers]
    return [*known, mutations.mutate_png, mutations.mutate_png] if form == "PNG" else known


def hunt(total: int, folder: Path, seed: int) -> dict[str, Counter[str]]:
    """Format -> what became of its mutants."""
    model = small_model.small_bundle(folder / "model")
    sources = originals()
    jobs, forms = [], []
    for index in range(total):
        rng = np.random.default_rng([seed, index])
        form, content = sources[index % len(sources)]
        path = folder / f"{index:05d}.bin"
        path.write_bytes(mutations.pick(mutators(form), rng)(content, rng) or b"x")
        jobs.append({"path": str(path), "model": str(model)})
        forms.append(form)
    ends: dict[str, Counter[str]] = {form: Counter() for form in forms}
    for job, form, answer in zip(jobs, forms, batches.run_jobs(jobs), strict=True):
        kind, _, said = answer.partition(": ")
        assert kind in {"ran", "error"}, (job["path"], answer)
        assert kind == "ran" or re.fullmatch(r"[^\n]*\.bin: [^\n]+; [^\n]+", said), answer
        ends[form][kind] += 1
    return ends


def test_undamaged_ones_are_read(tmp_path: Path) -> None:
    model = small_model.small_bundle(tmp_path / "model")
    jobs = []
    for index, (_, content) in enumerate(originals()):
        (tmp_path / f"{index}.bin").write_bytes(content)
        jobs.append({"path": str(tmp_path / f"{index}.bin"), "model": str(model)})
    assert set(batches.run_jobs(jobs)) <= {"ran: 40 x 56", "ran: 56 x 40"}


def test_two_thousand_mutated_pictures(tmp_path: Path) -> None:
    ends = hunt(2_000, tmp_path, seed=0)
    sys.stdout.write("\n".join(f"{form}: {dict(counts)}" for form, counts in ends.items()))
    for form, counts in ends.items():
        assert counts["ran"] > 20, form
        assert counts["error"] > 20, form


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 26))
def test_fifty_thousand_mutated_pictures(tmp_path: Path, seed: int) -> None:
    hunt(2_000, tmp_path, seed)
