"""Does the core install from binary wheels alone? `python scripts/check_wheels.py`, by hand, before a release.

For every processor and Python that a robot may have, pip is asked for the core's dependencies and all that they need in
turn, for that processor, as wheels. A fault is: something has no wheel there, a wheel holds programs of another
processor, torch has crept in, or the whole has grown past its limit. Both the versions of requirements.lock and the
newest ones are checked. Wheels go into a temporary folder; nothing is installed. `packaging` (of `.[dev]`) is needed.

Examples:
    python scripts/check_wheels.py
    python scripts/check_wheels.py --machine aarch64 --python 3.11 3.12 3.13 --json wheels.json
    python scripts/check_wheels.py --extra onnxruntime --glibc 2.31
"""

from __future__ import annotations

import argparse
import email
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[1]
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12")
GLIBC = "2.35"
"""The oldest C library that is promised: Ubuntu 22.04, on which JetPack 6 stands."""
FORBIDDEN = frozenset({"torch", "torchvision", "timm", "opencv-python", "opencv-python-headless", "scipy", "pandas"})
"""Must not come with the core."""
MAX_MB = 150.0
"""Of all wheels together, 1e6 bytes: what a robot downloads."""

_ELF_MACHINES = {"x86_64": 0x3E, "aarch64": 0xB7}
_OLD_TAGS = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}


@dataclass(frozen=True)
class Target:
    """What wheels must fit."""

    machine: str
    python: str
    glibc: str = GLIBC

    @property
    def platforms(self) -> list[str]:
        """Platform tags that fit, best first, as pip on such a machine ranks them."""
        newest = int(self.glibc.split(".")[1])
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, 4, -1)]
        return tags + [f"{old}_{self.machine}" for old, minor in reversed(_OLD_TAGS.items()) if minor <= newest]

    @property
    def environment(self) -> dict[str, str]:
        """Values of the markers in requirements, on that machine rather than on ours."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def __str__(self) -> str:
        return f"{self.machine}, Python {self.python}, glibc {self.glibc}"


@dataclass(frozen=True)
class Wheel:
    """One file, as its name and its content say."""

    name: str
    version: str
    file: str
    mb: float
    installed_mb: float
    glibc: str | None
    """The oldest C library that it takes; None for pure Python."""
    requires: tuple[str, ...]
    foreign_programs: tuple[str, ...]
    """Libraries in it that another processor than the target's would run."""


def core_requirements(pyproject: Path, extras: Sequence[str] = ()) -> list[str]:
    """Requirements of the core, and of extras of it."""
    project = tomllib.loads(pyproject.read_text())["project"]
    chosen = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [*project["dependencies"], *chosen]


def fetch(
    target: Target, requirements: Sequence[str], folder: Path, *, constraints: Path | None, options: Sequence[str] = ()
) -> list[Wheel]:
    """Have pip download the wheels of some requirements and of all that these need on the target.

    Args:
        target: What the wheels must fit.
        requirements: Lines as of pyproject.toml.
        folder: Where the wheels go.
        constraints: A file of exact versions.
        options: More of pip's own.

    Returns:
        The wheels, by name.

    Raises:
        LookupError: Something has no wheel for the target; the message is pip's.
    """
    wanted = list(requirements)
    while True:
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet"]
        command += ["--only-binary=:all:", "--dest", str(folder), "--python-version", target.python, *options]
        command += ["--implementation", "cp", "--abi", f"cp{target.python.replace('.', '')}", "--abi", "abi3"]
        command += ["--abi", "none", *(word for tag in target.platforms for word in ("--platform", tag))]
        command += ["--constraint", str(constraints)] if constraints else []
        done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LookupError("; ".join(re.findall(r"^ERROR: (.+)$", done.stderr, re.MULTILINE)) or done.stderr[-500:])
        wheels = {wheel.name: wheel for wheel in (read_wheel(file, target) for file in sorted(folder.iterdir()))}
        # pip reads the markers of dependencies ("only on aarch64") on this machine: what they ask for there is added.
        needed = closure(requirements, wheels, target)
        missing = sorted({str(one) for one in needed.values() if canonicalize_name(one.name) not in wheels})
        if not missing:
            return [wheels[name] for name in sorted(needed)]
        wanted += missing


def closure(requirements: Sequence[str], wheels: dict[str, Wheel], target: Target) -> dict[str, Requirement]:
    """What is needed on the target, directly or through others, by name."""
    found: dict[str, Requirement] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        one, extra = waiting.pop()
        if one.marker is not None and not one.marker.evaluate({**target.environment, "extra": extra}):
            continue
        name = canonicalize_name(one.name)
        found.setdefault(name, Requirement(f"{one.name}{one.specifier}"))
        for asked in ("", *one.extras):
            if name in wheels and (name, asked) not in seen:
                seen.add((name, asked))
                waiting += [(Requirement(line), asked) for line in wheels[name].requires]
    return found


def read_wheel(path: Path, target: Target) -> Wheel:
    """What a wheel is; a file that is none (a source distribution) raises `InvalidWheelFilename`."""
    name, version, _, tags = parse_wheel_filename(path.name)
    with zipfile.ZipFile(path) as archive:
        metadata = next(one for one in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one))
        about = email.message_from_bytes(archive.read(metadata))
        foreign = tuple(one for one, machine in programs(archive) if machine != _ELF_MACHINES[target.machine])
        installed = sum(one.file_size for one in archive.infolist())
    minors = [minor for tag in tags if (minor := _glibc_minor(tag.platform)) is not None]
    return Wheel(
        name=name,
        version=str(version),
        file=path.name,
        mb=round(path.stat().st_size / 1e6, 2),
        installed_mb=round(installed / 1e6, 2),
        glibc=f"2.{min(minors)}" if minors else None,
        requires=tuple(about.get_all("Requires-Dist") or ()),
        foreign_programs=foreign,
    )


def programs(archive: zipfile.ZipFile) -> Iterator[tuple[str, int]]:
    """Every ELF file in an archive, and the number of the processor that runs it."""
    for one in archive.infolist():
        with archive.open(one) as stream:
            head = stream.read(20)
        if head[:4] == b"\x7fELF":
            yield one.filename, int.from_bytes(head[18:20], "little")


def find_faults(wheels: Sequence[Wheel], *, forbidden: frozenset[str], max_mb: float) -> list[str]:
    """What is wrong with a set of wheels, one line each."""
    faults = [f"{wheel.name} must not come with the core" for wheel in wheels if wheel.name in forbidden]
    for wheel in wheels:
        if wheel.foreign_programs:
            faults.append(f"{wheel.file} holds programs of another processor: {', '.join(wheel.foreign_programs[:3])}")
    total = sum(wheel.mb for wheel in wheels)
    if total > max_mb:
        faults.append(f"all wheels together are {total:.0f} MB, more than {max_mb:.0f}")
    return faults


def check(
    target: Target, requirements: Sequence[str], *, constraints: Path | None, limits: dict[str, Any]
) -> dict[str, Any]:
    """Fetch and judge; what is said about one target and one choice of versions."""
    report: dict[str, Any] = {**asdict(target), "versions": "locked" if constraints else "newest"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            wheels = fetch(target, requirements, Path(folder), constraints=constraints)
        except LookupError as error:
            return report | {"wheels": [], "faults": [str(error)]}
    return report | {
        "wheels": [asdict(wheel) for wheel in wheels],
        "mb": round(sum(wheel.mb for wheel in wheels), 1),
        "installed_mb": round(sum(wheel.installed_mb for wheel in wheels), 1),
        "faults": find_faults(wheels, **limits),
    }


def _glibc_minor(platform: str) -> int | None:
    found = re.match(r"manylinux_2_(\d+)_", platform)
    return int(found[1]) if found else _OLD_TAGS.get(platform.partition("_")[0])


def _describe(report: dict[str, Any]) -> str:
    target = Target(report["machine"], report["python"], report["glibc"])
    lines = [f"{target}, {report['versions']} versions"]
    for wheel in report["wheels"]:
        needs = f"glibc >= {wheel['glibc']}" if wheel["glibc"] else "pure Python"
        lines.append(f"  {wheel['name']:<22} {wheel['version']:<12} {wheel['mb']:>7.2f} MB  {needs}")
    if report["wheels"]:
        lines.append(
            f"  {len(report['wheels'])} wheels, {report['mb']:.1f} MB, {report['installed_mb']:.1f} MB installed"
        )
    return "\n".join([*lines, *(f"  FAULT: {fault}" for fault in report["faults"])])


def main(words: Sequence[str] | None = None) -> int:
    """Check every target; 0 when none has a fault, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", nargs="+", default=MACHINES, choices=MACHINES)
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="3.N")
    parser.add_argument("--glibc", default=GLIBC, metavar="2.N", help="the device's C library")
    parser.add_argument("--versions", nargs="+", default=("locked", "newest"), choices=("locked", "newest"))
    parser.add_argument(
        "--extra", nargs="+", default=(), metavar="NAME", help="extras besides the core; torch may come"
    )
    parser.add_argument("--max-mb", type=float, default=MAX_MB, help="of all wheels of one target together")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    requirements = core_requirements(ROOT / "pyproject.toml", options.extra)
    limits = {"forbidden": frozenset() if options.extra else FORBIDDEN, "max_mb": options.max_mb}
    reports = []
    for versions in options.versions:
        constraints = ROOT / "requirements.lock" if versions == "locked" else None
        for machine in options.machine:
            for python in options.python:
                target = Target(machine, python, options.glibc)
                reports.append(check(target, requirements, constraints=constraints, limits=limits))
                print(_describe(reports[-1]), flush=True)  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(reports, indent=2) + "\n")
    return 1 if any(report["faults"] for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
