"""Edges of a triangle mesh: which faces meet, which edges stay open, which loops the open ones form."""

from __future__ import annotations

import numpy as np

from graspnext.types import BoolArray, Int64Array


def directed_edges(faces: Int64Array) -> Int64Array:
    """(3F, 2): the three edges of each face (F, 3) in its own sense; edge 3f + k starts at corner k of face f."""
    return np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)  # (3F, 2)


def edge_keys(edges: Int64Array) -> Int64Array:
    """(E,) one number an undirected edge (E, 2), for points below 2^31."""
    low, high = edges.min(axis=1), edges.max(axis=1)
    return np.asarray(low * 2**31 + high, dtype=np.int64)


def open_edges(faces: Int64Array) -> Int64Array:
    """(E, 2) directed edges that no other face runs the opposite way: none for a closed surface of one sense."""
    edges = directed_edges(faces)
    forward = edges[:, 0] < edges[:, 1]
    keys, index = np.unique(edge_keys(edges), return_inverse=True)
    balance = np.bincount(index.ravel(), weights=np.where(forward, 1, -1), minlength=len(keys))
    excess = balance[index.ravel()]
    lonely = np.where(forward, excess > 0, excess < 0)
    _, first = np.unique(np.where(lonely, index.ravel(), -1), return_index=True)
    return edges[np.sort(first[lonely[first]])]


def faults(faces: Int64Array) -> int:
    """How many edges have another number of faces than two."""
    if len(faces) == 0:
        return 0
    _, counts = np.unique(edge_keys(directed_edges(faces)), return_counts=True)
    return int((counts != 2).sum())


def bodies(faces: Int64Array) -> Int64Array:
    """(F,) number of the connected body of each face: faces are connected over edges that exactly two share.

    Bodies are numbered in the order of their first faces.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    a, b, _ = _pairs(faces)
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(faces), len(faces)))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse.ravel()], dtype=np.int64)


def sense(faces: Int64Array) -> BoolArray:
    """(F,) which faces to turn over so that neighbours agree within each body; each body keeps its first face."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order

    a, b, same = _pairs(faces)
    turn = np.zeros(len(faces), dtype=bool)
    if not same.any():
        return turn
    graph = coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(len(faces), len(faces))).tocsr()
    clash = {(int(x), int(y)) for x, y in zip(a[same], b[same], strict=True)}
    labels = bodies(faces)
    _, starts = np.unique(labels, return_index=True)
    for start in starts:
        order, before = breadth_first_order(graph, start, directed=False)
        for face in order[1:]:
            parent = before[face]
            pair = (int(parent), int(face)) if (int(parent), int(face)) in clash else (int(face), int(parent))
            turn[face] = turn[parent] ^ (pair in clash)
    return turn


def _pairs(faces: Int64Array) -> tuple[Int64Array, Int64Array, BoolArray]:
    """Faces that share an edge with exactly one other: (N,), (N,), and whether both run it the same way."""
    edges = directed_edges(faces)
    keys = edge_keys(edges)
    order = np.argsort(keys, kind="stable")
    _, start, counts = np.unique(keys[order], return_index=True, return_counts=True)
    first = order[start[counts == 2]]
    second = order[start[counts == 2] + 1]
    return first // 3, second // 3, np.asarray(edges[first, 0] == edges[second, 0])


def loops(edges: Int64Array) -> list[Int64Array]:
    """Closed walks over directed edges (E, 2), each a list of points; walks that do not close are left out."""
    following: dict[int, list[int]] = {}
    for a, b in edges.tolist():
        following.setdefault(a, []).append(b)
    found = []
    for start in sorted(following):
        while following.get(start):
            walk, at = [start], following[start].pop(0)
            while at != start and following.get(at):
                if at in walk:  # a figure of eight: cut the inner loop off
                    cut = walk.index(at)
                    found.append(np.array(walk[cut:], dtype=np.int64))
                    walk = walk[:cut]
                walk.append(at)
                at = following[at].pop(0)
            if at == start and len(walk) >= 3:
                found.append(np.array(walk, dtype=np.int64))
    return [loop for loop in found if len(loop) >= 3]
