"""A thousand ways to damage a scene's folder, each from a seed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("json", "png", "files")
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**63, 10**30, 10**400, -(10**30), 1e308, -1e308, 1e-300, 5e-324, 0.5, -0.0,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", "x", "\x00", "..", "../../../etc/passwd", "/etc/passwd", "a" * 100_000, "\ud800", "\u202e", "0", "1e999",
    "0_rgb.png", "000001", "NaN",
)  # fmt: skip
RUNS = (
    "", "0", "1", "_", "~", "\x7f", "é", "o" * 64, "ooooooooooo0", "0" * 50_000, "P" * 1000, "XPY1" * 999, "\n",
    "1 2 3", "l?1", "`" * 12,
)  # fmt: skip


def mutate(root: Path, rng: np.random.Generator) -> str:
    """Damage one thing in a dataset; what it was."""
    kind, change = KINDS[int(rng.integers(len(KINDS)))]
    return f"{kind}: {change(root, rng)}"


def _pick(items: Any, rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))]


def _file(root: Path, rng: np.random.Generator, *suffixes: str) -> Path:
    files = [path for path in root.rglob("*") if path.is_file() and (not suffixes or path.suffix in suffixes)]
    return _pick(sorted(files), rng)


def flip_bits(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng)
    content = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 9))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return str(path)


def cut(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng)
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(len(content)))])
    return str(path)


def insert(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng)
    content = path.read_bytes()
    at = int(rng.integers(len(content)))
    path.write_bytes(content[:at] + rng.bytes(int(rng.integers(1, 400))) + content[at:])
    return str(path)


def empty(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng)
    path.write_bytes(_pick((b"", b"\x00" * 100, b" \n", b"\xef\xbb\xbf{}", b"null", b"[]", b"{}", b"[" * 100_000), rng))
    return str(path)


def delete(root: Path, rng: np.random.Generator) -> str:
    path = _pick(sorted(root.rglob("*")), rng)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return str(path)


def swap(root: Path, rng: np.random.Generator) -> str:
    first, second = _file(root, rng), _file(root, rng)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return f"{first} {second}"


def rename(root: Path, rng: np.random.Generator) -> str:
    path = _pick(sorted(root.rglob("*")), rng)
    name = _pick(("x", "0_rgb.webp", "7_labels.json", "000009", "000001", "\udcff", ".hidden", "a" * 200), rng)
    target = path.with_name(name)
    if not target.exists():
        path.rename(target)
    return f"{path} {name!r}"


def folder_for_file(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng)
    path.unlink()
    path.mkdir()
    return str(path)


def file_for_folder(root: Path, rng: np.random.Generator) -> str:
    path = _pick(sorted(path for path in root.rglob("*") if path.is_dir()), rng)
    shutil.rmtree(path)
    path.write_bytes(b"x")
    return str(path)


def link(root: Path, rng: np.random.Generator) -> str:
    path = _pick(sorted(root.rglob("*")), rng)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    target = _pick(
        ("/dev/zero", "/dev/null", "/etc/passwd", "/proc/self/mem", "/", path.name, "nowhere", str(root)), rng
    )
    path.symlink_to(target)
    return f"{path} {target}"


def pipe(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng)
    path.unlink()
    os.mkfifo(path)
    return str(path)


def forbid(root: Path, rng: np.random.Generator) -> str:
    path = _pick(sorted(root.rglob("*")), rng)
    path.chmod(0)
    return str(path)


def grow(root: Path, rng: np.random.Generator) -> str:
    """A file with a hole: it takes no space, and would take all memory."""
    path = _file(root, rng)
    with path.open("r+b") as stream:
        stream.truncate(1 << int(rng.integers(31, 42)))
    return str(path)


def _values(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: (container, key)."""
    keys = list(content) if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _values(content[key])


def _value(old: Any, rng: np.random.Generator) -> Any:
    deep: Any = 0
    for _ in range(int(rng.integers(1, 190))):
        deep = [deep] if rng.random() < 0.5 else {"x": deep}
    choices = [*NUMBERS, *TEXTS, None, True, False, [], {}, [[]], [old], {"x": old}, deep, [0] * 1000]
    if isinstance(old, str):
        choices += [*RUNS, old[::-1], old + old, old[: len(old) // 2], old.upper()]
    if isinstance(old, int | float) and not isinstance(old, bool):
        choices += [-old, old + 1, old * 1000, str(old), old * (1 + 1e-3)]
    if isinstance(old, list) and old:
        choices += [old[:-1], [*old, old[0]], old[::-1]]
    return _pick(choices, rng)


def json_value(root: Path, rng: np.random.Generator) -> str:
    path = _file(root, rng, ".json", ".jsonl")
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    index = int(rng.integers(len(lines)))
    content = json.loads(lines[index])
    places = list(_values(content))
    names = sorted({str(key) for _, key in places})  # each key is as likely, not each number of each matrix
    name = _pick(names, rng)
    container, key = _pick([place for place in places if str(place[1]) == name], rng)
    action = rng.random()
    if action < 0.1:
        del container[key]
    elif action < 0.2 and isinstance(container, dict):
        container[_pick(TEXTS, rng)] = 1
    else:
        container[key] = _value(container[key], rng)
    lines[index] = json.dumps(content)
    path.write_text("\n".join(lines) + "\n")
    return f"{path} {name} {str(container)[:80]}"


def json_text(root: Path, rng: np.random.Generator) -> str:
    """What a JSON library cannot write: brackets without end, digits without end, repeated keys."""
    path = _file(root, rng, ".json", ".jsonl")
    text = path.read_text()
    at = int(rng.integers(len(text)))
    junk = _pick(
        ("[" * 200_000, '{"a":' * 100_000, "9" * 100_000, "\\u0000", '"', "}", ",", "NaN", "-Infinity", "//"), rng
    )
    path.write_text(text[:at] + junk + text[at + len(junk) % 7 :])
    return str(path)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def png_chunks(root: Path, rng: np.random.Generator) -> str:
    """Whole chunks with right checksums, but of the wrong kind, order, number or content."""
    path = _file(root, rng, ".png")
    chunks = _chunks(path.read_bytes())
    index = int(rng.integers(len(chunks)))
    kind, data = chunks[index]
    bomb = zlib.compress(b"\x00" * 50_000_000, 9)
    header = bytearray(chunks[0][1])
    header[int(rng.integers(len(header)))] = int(rng.integers(256))
    action = int(rng.integers(9))
    if action == 0:
        del chunks[index]
    elif action == 1:
        chunks.insert(index, (kind, data))
    elif action == 2:
        chunks[index] = (kind, data[: len(data) // 2])
    elif action == 3:
        chunks[0] = (b"IHDR", bytes(header))
    elif action == 4:
        chunks[0] = (b"IHDR", struct.pack(">II", 2**31 - 1, 2**31 - 1) + data[8:13].ljust(5, b"\x00"))
    elif action == 5:
        chunks.insert(1, (b"iCCP", b"x\x00\x00" + bomb))
    elif action == 6:
        chunks.insert(1, (b"zTXt", b"x\x00\x00" + bomb))
    elif action == 7:
        chunks = [chunks[0], (b"IDAT", bomb), (b"IEND", b"")]
    else:
        chunks[index] = (_pick((b"PLTE", b"tRNS", b"acTL", b"fcTL", b"XXXX", b"eXIf"), rng), data)
    path.write_bytes(_png(chunks))
    return f"{path} {action}"


KINDS: tuple[tuple[str, Callable[[Path, np.random.Generator], str]], ...] = (
    ("bits", flip_bits), ("cut", cut), ("insert", insert), ("empty", empty), ("delete", delete), ("swap", swap),
    ("rename", rename), ("folder", folder_for_file), ("file", file_for_folder), ("link", link), ("pipe", pipe),
    ("forbid", forbid), ("grow", grow), ("json", json_value), ("json", json_value), ("json", json_value),
    ("json", json_value), ("json", json_value), ("json", json_value), ("text", json_text), ("png", png_chunks),
    ("png", png_chunks), ("png", png_chunks),
)  # fmt: skip
