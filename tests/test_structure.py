"""The house rules of ARCHITECTURE.md, read off the source: import order, cycles, sizes, heavy imports."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "graspnext"
FILES = sorted(SRC.rglob("*.py"))

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "types": set(),
    "files": {"errors"},
    "geometry": {"errors", "types"},
    "data": {"errors", "types", "files", "geometry"},
    "world": {"errors", "types", "files", "geometry", "data"},
    "network": {"errors", "types", "files", "geometry"},
    "runtime": {"errors", "types", "files", "geometry", "viz"},
    "picking": {"errors", "types", "files", "geometry", "runtime"},
    "viz": {"errors", "types", "files", "geometry"},
    "learning": {"errors", "types", "files", "geometry", "data", "network", "runtime", "viz"},
    "search": {"errors", "types", "files", "geometry", "data", "network", "runtime", "learning"},
    "deploy": {"errors", "types", "files", "geometry", "data", "network", "runtime", "learning"},
}
"""Room -> rooms it may import. `cli` may import everything; nothing imports `cli`."""

HEAVY = {
    "cv2",
    "embreex",
    "mujoco",
    "onnx",
    "onnxruntime",
    "openvino",
    "optuna",
    "ray",
    "torch",
    "torchvision",
    "trimesh",
}
HEAVY_AT_TOP = {"network", "learning", "deploy"}
"""Rooms that are torch throughout, and are themselves imported only where they are used."""

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
LONG_FUNCTION_LINES = 50
MAX_LONG_SHARE = 0.05
MAX_PARAMETERS = 6

EXCEPTIONS: dict[str, str] = {}
"""`file` or `file:function` -> the reason why it may break a size rule."""


def room_of(path: Path) -> str:
    relative = path.relative_to(SRC)
    return relative.parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def top_level(tree: ast.Module) -> list[ast.stmt]:
    """What runs at import time: an import inside a function is how a cycle or a heavy library is put off."""
    late = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [node for node in tree.body if not is_type_checking(node) and not isinstance(node, late)]


def imported(nodes: list[ast.stmt]) -> list[str]:
    names: list[str] = []
    for statement in nodes:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, "absolute imports only"
                names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if room in {"__init__", "__main__", "cli"}:
        return
    tree = ast.parse(path.read_text())
    for name in imported(tree.body):
        if name.startswith("graspnext.") and (other := name.split(".")[1]) != "__version__":
            assert other == room or other in MAY_IMPORT[room], f"{path}: {room} may not import {name}"


def test_no_import_cycles() -> None:
    modules = {module_of(path): path for path in FILES}
    edges = {
        module: {
            target
            for name in imported(top_level(ast.parse(path.read_text())))
            for target in (name, name.rpartition(".")[0])
            if target in modules and target not in {module, "graspnext"}
        }
        for module, path in modules.items()
    }
    visiting: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in visiting, f"import cycle: {' -> '.join([*visiting[visiting.index(module) :], module])}"
        if module in done:
            return
        visiting.append(module)
        for target in sorted(edges[module]):
            visit(target)
        visiting.pop()
        done.add(module)

    for module in modules:
        visit(module)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_heavy_libraries_are_imported_where_used(path: Path) -> None:
    if room_of(path) in HEAVY_AT_TOP:
        return
    tree = ast.parse(path.read_text())
    statements = [node for node in top_level(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for name in imported(statements):
        assert name.split(".")[0] not in HEAVY, f"{path} imports {name} at the top"
        assert not any(name.startswith(f"graspnext.{room}") for room in HEAVY_AT_TOP), (
            f"{path} imports {name} at the top"
        )


def test_runtime_and_core_never_import_torch() -> None:
    for path in FILES:
        if room_of(path) in {"errors", "types", "geometry", "runtime", "viz"}:
            tree = ast.parse(path.read_text())
            at_run_time = [node for node in tree.body if not is_type_checking(node)]
            assert not any(name.split(".")[0] in {"torch", "torchvision"} for name in imported(at_run_time)), path


def test_sizes() -> None:
    faults: list[str] = []
    long = total = 0
    for path in FILES:
        text = path.read_text()
        where = str(path.relative_to(SRC))
        lines = text.count("\n")
        if lines > MAX_FILE_LINES and where not in EXCEPTIONS:
            faults.append(f"{where}: {lines} lines")
        for function in functions(ast.parse(text)):
            name = f"{where}:{function.name}"
            assert function.end_lineno is not None
            length = function.end_lineno - function.lineno + 1
            total += 1
            long += length > LONG_FUNCTION_LINES
            arguments = function.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
            count -= bool(arguments.args) and arguments.args[0].arg in {"self", "cls"}
            if length > MAX_FUNCTION_LINES and name not in EXCEPTIONS:
                faults.append(f"{name}: {length} lines")
            if count > MAX_PARAMETERS and name not in EXCEPTIONS:
                faults.append(f"{name}: {count} parameters")
    assert not faults, "\n".join(faults)
    assert long <= MAX_LONG_SHARE * total, f"{long} of {total} functions exceed {LONG_FUNCTION_LINES} lines"


def test_no_drawers() -> None:
    for path in FILES:
        assert not {"utils", "common", "helpers", "misc"} & set(path.relative_to(SRC).with_suffix("").parts), path


def test_the_import_order_has_no_loop() -> None:
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        ready = [room for room, needs in MAY_IMPORT.items() if room not in order and needs <= set(order)]
        assert ready, "MAY_IMPORT has a cycle"
        order += ready
    assert all(a in MAY_IMPORT for a, _ in pairwise(order))
