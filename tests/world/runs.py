"""Real runs of `graspnext world make` as processes of their own, and what is left of them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from graspnext.data.format import LOG_FILE
from graspnext.data.reader import Dataset
from graspnext.world.recipes import Recipe, find_recipe

QUICK: Recipe = dataclasses.replace(find_recipe("smoke"), image_size=(64, 80), views=1, parts_per_scene=(2, 4))
"""About a fifth of a second a scene."""
QUICK_WORDS = (
    "--recipe",
    "smoke",
    "--recipe.image-size",
    "64",
    "80",
    "--views",
    "1",
    "--recipe.parts-per-scene",
    "2",
    "4",
)
HEAR_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A process started from a script's background inherits that it ignores SIGINT."""
_MAIN = f"{HEAR_SIGINT}; import sys; from graspnext.cli.main import main\nif __name__ == '__main__': sys.exit(main())"


def start(out: Path, *words: str) -> subprocess.Popen[bytes]:
    """`graspnext world make` with the quick recipe, in a session of its own."""
    command = [sys.executable, "-c", _MAIN, "world", "make", "--out", str(out), *QUICK_WORDS, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def finish(run: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a run."""
    out, error = run.communicate(timeout=300)
    return run.returncode, out.decode(), error.decode()


def reproducible(root: Path) -> dict[str, str]:
    """Path -> hash of all files that two runs must agree in: all but the log."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != LOG_FILE
    }


def scenes_listed(root: Path) -> set[str]:
    """The scenes in the manifest, after every file of each has been read and compared with its hash."""
    dataset = Dataset(root)
    for entry in dataset.entries:
        dataset.read(entry)
        folder = root / "scenes" / entry.scene
        found = {
            key: hashlib.sha256((folder / f"{entry.view}_{name}").read_bytes()).hexdigest()
            for key, name in (("rgb", "rgb.png"), ("depth", "depth.png"), ("labels", "labels.json"))
        }
        assert found.items() <= entry.sha256.model_dump().items()
    return {entry.scene for entry in dataset.entries}


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for word in words for found in (int(word), *descendants(int(word)))]


def workers_of(pid: int) -> list[int]:
    """Those children of a run that make scenes."""
    return [child for child in descendants(pid) if "spawn_main" in _command(child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only waiting to be forgotten."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: list[int], *, timeout_s: float = 20.0) -> list[int]:
    """Those of some processes that still run after a while."""
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def wait_for_scenes(out: Path, number: int, run: subprocess.Popen[bytes]) -> None:
    """Wait until a run has stored so many scenes."""
    deadline = time.monotonic() + 120
    while len(list(out.glob("scenes/0*"))) < number and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def kill(pid: int) -> None:
    """SIGKILL, unless it has ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
