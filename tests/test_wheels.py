"""The core installs from binary wheels alone: the check itself, on wheels made here; and, slow, on the real ones."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ELF_NUMBER = {"x86_64": 62, "aarch64": 183}  # of elf.h


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_wheels", ROOT / "scripts" / "check_wheels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_wheels"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load_script()
ARM = script.Target("aarch64", "3.12")


def write_wheel(folder: Path, name: str, tags: str = "py3-none-any", *, requires: str = "", elf: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-{tags}.whl"
    pure = str(tags.endswith("any")).lower()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {line}" for line in requires.split("|") if line]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {tags}\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        archive.writestr(f"{name}.data", bytes(20_000))
        if elf:
            archive.writestr(f"{name}.libs/part.so.3", b"\x7fELF" + bytes(14) + ELF_NUMBER[elf].to_bytes(2, "little"))
    return path


def fetch(index: Path, folder: Path, *requirements: str, target: object = ARM) -> list[object]:
    folder.mkdir()
    return list(
        script.fetch(target, requirements, folder, constraints=None, options=("--no-index", "--find-links", str(index)))
    )


def test_what_another_processor_needs_is_fetched_too(tmp_path: Path) -> None:
    """pip reads markers on this machine, which is not the robot's."""
    elsewhere = "platform_machine == 'aarch64' and python_version == '3.12'"
    here = "platform_machine == 'x86_64' or python_version == '3.11'"
    write_wheel(tmp_path / "index", "top", requires=f"arm_part>=1 ; {elsewhere}|intel_part ; {here}|deep[more]")
    write_wheel(tmp_path / "index", "deep", requires="extra_part ; extra == 'more'|other_part ; extra == 'less'")
    for name in ("extra_part", "intel_part"):
        write_wheel(tmp_path / "index", name)
    arm_tags = "cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64"
    write_wheel(tmp_path / "index", "arm_part", arm_tags, elf="aarch64")
    wheels = fetch(tmp_path / "index", tmp_path / "to", "top")
    assert [wheel.name for wheel in wheels] == ["arm-part", "deep", "extra-part", "top"]
    assert wheels[0].glibc == "2.17"
    assert wheels[3].glibc is None
    assert script.find_faults(wheels, forbidden=script.FORBIDDEN, max_mb=1.0) == []


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("cp312-cp312-manylinux_2_35_aarch64", True),
        ("cp312-abi3-manylinux_2_28_aarch64", True),
        ("cp312-cp312-manylinux_2_36_aarch64", False),  # a newer C library than the device has
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp311-cp311-manylinux_2_28_aarch64", False),
    ],
)
def test_only_wheels_of_the_device_count(tmp_path: Path, file: str, fits: bool) -> None:
    write_wheel(tmp_path / "index", "top", file)
    if fits:
        assert len(fetch(tmp_path / "index", tmp_path / "to", "top")) == 1
    else:
        with pytest.raises(LookupError, match="top"):
            fetch(tmp_path / "index", tmp_path / "to", "top")


def test_a_source_distribution_is_no_wheel(tmp_path: Path) -> None:
    write_wheel(tmp_path / "index", "top", requires="sdist_only")
    (tmp_path / "index" / "sdist_only-1.0.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(LookupError, match="sdist"):
        fetch(tmp_path / "index", tmp_path / "to", "top")


def test_faults_are_named(tmp_path: Path) -> None:
    write_wheel(tmp_path, "torch")
    write_wheel(tmp_path, "mixed", "cp312-cp312-manylinux_2_28_aarch64", elf="x86_64")
    wheels = [script.read_wheel(path, ARM) for path in sorted(tmp_path.iterdir())]
    faults = script.find_faults(wheels, forbidden=script.FORBIDDEN, max_mb=0.03)
    assert len(faults) == 3
    assert "mixed.libs/part.so.3" in faults[1]
    assert "torch" in faults[0]
    assert "MB" in faults[2]


@pytest.mark.slow
@pytest.mark.parametrize("python", script.PYTHONS)
@pytest.mark.parametrize("machine", script.MACHINES)
@pytest.mark.parametrize("constraints", [None, ROOT / "requirements.lock"], ids=["newest", "locked"])
def test_the_core_has_wheels(machine: str, python: str, constraints: Path | None) -> None:
    limits = {"forbidden": script.FORBIDDEN, "max_mb": script.MAX_MB}
    requirements = script.core_requirements(ROOT / "pyproject.toml")
    report = script.check(script.Target(machine, python), requirements, constraints=constraints, limits=limits)
    unreachable = ["connect" in fault.lower() or "retries" in fault.lower() for fault in report["faults"]]
    if unreachable and all(unreachable):
        pytest.skip(f"the package index cannot be reached: {report['faults'][0][:200]}")
    assert report["faults"] == []
    assert {"numpy", "openvino", "pillow", "pydantic"} <= {wheel["name"] for wheel in report["wheels"]}
