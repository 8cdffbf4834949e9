"""What can be wrong with a dataset on disk: one record a fault, and the error that carries it."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from graspnext.errors import DatasetError

DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    MemoryError,
    OverflowError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tokenize.TokenError,
    Image.DecompressionBombError,
)
"""What the decoders of pictures, archives, HDF5 and JSON are known to raise on damaged files."""

MEND = "mend the field, or make the scene again"
REMAKE = "make the scene again, or delete its folder and its lines in manifest.jsonl"
RESUME = "let the command that made the dataset finish it, with --resume"
"""What to advise about our own datasets."""


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong with a dataset."""

    file: str
    """Path of the file, relative to the dataset's folder."""
    field: str
    """What in the file, such as `instances[3].bbox`; empty for the file as a whole."""
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}{f' [{self.field}]' if self.field else ''}: {self.problem}; {self.advice}"


class DatasetFaultError(DatasetError):
    """A `DatasetError` that also carries its faults as records; its message tells the first."""

    def __init__(self, root: Path, *faults: Fault) -> None:
        first = faults[0]
        where = f"{root / first.file}{f' [{first.field}]' if first.field else ''}"
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        super().__init__(where, first.problem + more, first.advice)
        self.faults = faults
