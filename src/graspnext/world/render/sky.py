"""The uniform sky as an image-based light in the KTX 1 container that Filament reads.

KTX 1 (Khronos, "KTX File Format Specification, version 1.1"): a header, key-value pairs, then for each mip level
its byte count and six faces. Filament takes diffuse light from spherical harmonics stored under the key "sh": nine
RGB triples, already convolved with the cosine lobe and divided by pi, so that a uniform sky has only the first.
"""

from __future__ import annotations

import struct

import numpy as np

_MAGIC = b"\xabKTX 11\xbb\r\n\x1a\n"
_LITTLE_ENDIAN, _HALF_FLOAT, _RGBA, _RGBA16F = 0x04030201, 0x140B, 0x1908, 0x881A
_SIZE = 16


def uniform_sky(color: tuple[float, float, float]) -> bytes:
    """A KTX cube map whose every direction shines in one colour.

    Args:
        color: Linear RGB.

    Returns:
        The file's bytes.
    """
    levels = _SIZE.bit_length()
    harmonics = "\n".join(["{:.6f} {:.6f} {:.6f}".format(*color), *["0 0 0"] * 8]) + "\n"
    entry = b"sh\0" + harmonics.encode("ascii")
    pairs = struct.pack("<I", len(entry)) + entry + b"\0" * (-len(entry) % 4)
    header = (_LITTLE_ENDIAN, _HALF_FLOAT, 2, _RGBA, _RGBA16F, _RGBA, _SIZE, _SIZE, 0, 0, 6, levels, len(pairs))
    out = [_MAGIC, struct.pack("<13I", *header), pairs]
    for level in range(levels):
        side = _SIZE >> level
        face = np.full((side, side, 4), (*color, 1.0), dtype=np.float16)
        out += [struct.pack("<I", face.nbytes), face.tobytes() * 6]
    return b"".join(out)
