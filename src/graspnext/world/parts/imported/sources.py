"""Mesh files and everything they refer to, as bytes: what a part is made from is exactly what its digest covers."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from graspnext.errors import MeshFileError, PartsError

KINDS = ("glb", "gltf", "obj", "off", "ply", "stl")
"""Formats that are read, named as their suffixes."""
CAD_SUFFIXES = frozenset(
    {
        ".3ds",
        ".3mf",
        ".blend",
        ".brep",
        ".catpart",
        ".catproduct",
        ".dae",
        ".fbx",
        ".iges",
        ".igs",
        ".ipt",
        ".jt",
        ".prt",
        ".sldasm",
        ".sldprt",
        ".step",
        ".stp",
        ".usd",
        ".usda",
        ".usdc",
        ".usdz",
        ".wrl",
        ".x_b",
        ".x_t",
    }
)
"""Shapes in formats that are not read: named in the outcome rather than passed over."""
MAX_BYTES = 256 * 2**20
"""Largest mesh file and largest file that one refers to."""
_EXPORT = "export the part as GLB, OBJ, STL, PLY or OFF"


@dataclass(frozen=True, eq=False)
class Source:
    """One mesh file with what it refers to."""

    file: str
    """Path below the folder, with forward slashes."""
    kind: str
    """One of `KINDS`."""
    content: bytes
    sidecars: dict[str, bytes]
    """What it refers to, by the name it uses: material libraries, textures, buffers."""
    missing: tuple[str, ...]
    """Names it uses for which there is no file."""

    @property
    def digest(self) -> str:
        """SHA-256 over kind, content and sidecars, hex; the file's own name does not count."""
        whole = hashlib.sha256()
        pieces = [self.kind.encode(), self.content]
        for name in sorted(self.sidecars):
            pieces += [name.encode(), self.sidecars[name]]
        pieces += [name.encode() for name in self.missing]
        for piece in pieces:
            whole.update(len(piece).to_bytes(8, "little"))
            whole.update(piece)
        return whole.hexdigest()


def find_files(folder: Path) -> list[str]:
    """All shapes below a folder, sorted: files of a format that is read, and CAD files that are not.

    Raises:
        PartsError: The folder is missing, not a folder, or holds no shape.
    """
    if not folder.is_dir():
        problem = "not a folder" if folder.exists() else "no such folder"
        raise PartsError(folder, problem, "give a folder of mesh files")
    wanted = {f".{kind}" for kind in KINDS} | CAD_SUFFIXES
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in wanted and path.is_file()]
    below = [path.relative_to(folder) for path in paths]
    files = sorted(path.as_posix() for path in below if not any(name.startswith(".") for name in path.parts))
    if not files:
        raise PartsError(
            folder, "holds no mesh", f"put files ending in {', '.join(f'.{kind}' for kind in KINDS)} there"
        )
    return files


def read_source(folder: Path, file: str) -> Source:
    """The bytes of a mesh file and of what it refers to. Names that lead out of the folder count as missing.

    Raises:
        MeshFileError: It is no format that is read, empty, too large, unreadable, or not what its suffix says.
    """
    kind = PurePosixPath(file).suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise MeshFileError(f".{kind} files are not read", _EXPORT)
    content = _read(folder / file)
    if not content.strip():
        raise MeshFileError("the file is empty", "export it again")
    found = _kind_of(content)
    if found is not None and found != kind:
        raise MeshFileError(f"the content is {found.upper()}, not {kind.upper()}", f"rename it to end in .{found}")
    sidecars: dict[str, bytes] = {}
    missing: list[str] = []
    names = _references(kind, content)
    while names:
        name = names.pop(0)
        if name in sidecars or name in missing:
            continue
        path = _inside(folder, PurePosixPath(file).parent, name)
        if path is None:
            missing.append(name)
            continue
        sidecars[name] = _read(path)
        if path.suffix.lower() == ".mtl":
            names += _after(rb"map_kd", sidecars[name])
    return Source(file, kind, content, sidecars, tuple(missing))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MeshFileError(
                f"{path.name} has {path.stat().st_size / 2**20:.0f} MB, more than {MAX_BYTES // 2**20}",
                "export it with fewer faces or smaller textures",
            )
        return path.read_bytes()
    except OSError as error:
        raise MeshFileError(f"{path.name} cannot be read: {error.strerror}", "check its permissions") from error


def _kind_of(content: bytes) -> str | None:
    """The format that the first bytes tell, or None where they do not."""
    start = content[:512].lstrip()
    if len(content) >= 84 and len(content) == 84 + 50 * int.from_bytes(content[80:84], "little"):
        return "stl"  # some writers begin the free header of a binary STL with the words of other formats
    if content[:4] == b"glTF":
        return "glb"
    if re.match(rb"ply\s", start):
        return "ply"
    if re.match(rb"C?OFF\s", start):
        return "off"
    if start[:1] == b"{" and b'"asset"' in content:
        return "gltf"
    if re.match(rb"solid\b", start) and b"facet" in content[:4096]:
        return "stl"
    return None


def _references(kind: str, content: bytes) -> list[str]:
    if kind == "obj":
        return _after(rb"mtllib", content)[:1]
    if kind == "ply":
        return _after(rb"comment\s+TextureFile", content[:65536])[:1]
    if kind in {"gltf", "glb"}:
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):  # the loader says what is wrong
            header = json.loads(content if kind == "gltf" else _glb_header(content))
            entries = [*header.get("buffers", []), *header.get("images", [])]
            uris = [str(entry["uri"]) for entry in entries if "uri" in entry]
            return [uri for uri in uris if not uri.startswith("data:")]
    return []


def _glb_header(content: bytes) -> bytes:
    return content[20 : 20 + int.from_bytes(content[12:16], "little")]


def _after(word: bytes, content: bytes) -> list[str]:
    lines = re.findall(rb"^[ \t]*" + word + rb"[ \t]+([^\r\n]+)", content, re.MULTILINE | re.IGNORECASE)
    names = [line.decode("utf-8", "replace").strip() for line in lines]  # blanks cut here: a pattern would take ages
    return [name for name in names if name]


def _inside(folder: Path, beside: PurePosixPath, name: str) -> Path | None:
    """The file that a name stands for: as written, without options before it, or by its last part only."""
    plain = unquote(name).replace("\\", "/")
    last = plain.split()[-1] if plain.split() else plain
    root = folder.resolve()
    for candidate in (plain, last, PurePosixPath(plain).name, PurePosixPath(last).name):
        with suppress(ValueError, OSError):  # a name that no file system takes
            path = (folder / beside / candidate).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
    return None


def folder_digest(sources: dict[str, str]) -> str:
    """SHA-256 over the files of a folder, by name, and their digests, hex."""
    return hashlib.sha256(json.dumps(sorted(sources.items())).encode()).hexdigest()
