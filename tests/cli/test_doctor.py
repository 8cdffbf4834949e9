"""`graspnext doctor` tells the truth about this machine."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest

from graspnext.cli.doctor import packages
from graspnext.cli.doctor_processor import GLIBC_OF_OPENVINO, c_library, limits, openvino_capabilities, precisions
from graspnext.cli.finding import Finding
from graspnext.cli.main import main
from graspnext.runtime.processor import Processor, read_processor

SERVER = Processor(
    machine="x86_64",
    name="a server",
    board=None,
    flags=frozenset({"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}),
    online=(0, 1, 2, 3),
    offline=(),
    allowed=(0, 1, 2, 3),
    cores=4,
    governors=("performance",),
    quota=None,
    throttled=None,
    memory_mb=8000.0,
    huge_pages="always",
    hottest_c=50.0,
)
JETSON = replace(
    SERVER,
    machine="aarch64",
    name="Cortex-A78AE",
    board="NVIDIA Jetson Orin NX",
    flags=frozenset({"asimd", "asimddp"}),
    offline=(4, 5),
    governors=("schedutil",),
    hottest_c=91.0,
)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_doctor_reports_versions_and_runtimes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json", str(tmp_path / "doctor.json")])
    report = json.loads((tmp_path / "doctor.json").read_text())
    findings = {(finding["topic"], finding["name"]): finding for finding in report}
    assert findings["packages: core", "numpy"]["detail"] == version("numpy")
    assert findings["runtimes", "openvino"]["ok"]
    assert {("renderers", "filament"), ("renderers", "classic")} <= set(findings)
    assert findings["processor", "name"]["detail"].startswith(read_processor().name)
    assert code == 0
    assert "runtimes" in capsys.readouterr().out


def test_packages_are_those_of_the_metadata() -> None:
    listed = {(finding.topic, finding.name) for finding in packages()}
    assert ("packages: core", "openvino") in listed
    assert ("packages: train", "torch") in listed
    assert not any("dev" in topic for topic, _ in listed)
    assert len(listed) == sum(
        "extra == 'dev'" not in one and 'extra == "dev"' not in one for one in requires("graspnext") or []
    )


def test_a_missing_or_old_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['no-such-library>=1; extra == "train"', "numpy>=99.1", "pydantic>=1.10.0"]
    monkeypatch.setattr("graspnext.cli.doctor.requires", lambda _: lines)
    old, enough, missing = packages()
    assert not missing.ok
    assert not missing.required
    assert "pip install 'graspnext[train]'" in missing.detail
    assert not old.ok
    assert old.required
    assert "older than 99.1" in old.detail
    assert enough.ok


def test_without_an_installation_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> list[str]:
        raise PackageNotFoundError

    monkeypatch.setattr("graspnext.cli.doctor.requires", absent)
    (finding,) = packages()
    assert not finding.ok
    assert "pip install ." in finding.detail


@pytest.mark.parametrize(
    ("flags", "bf16", "int8"),
    [
        ({"avx512f", "amx_bf16", "amx_int8"}, "AMX", "AMX"),
        ({"avx512f", "avx512_bf16", "avx512_vnni"}, "AVX512-BF16", "AVX512-VNNI"),
        ({"avx512f", "avx512_vnni"}, None, "AVX512-VNNI"),
        ({"avx2", "avx_vnni"}, None, "AVX-VNNI"),
        ({"avx2"}, None, None),
    ],
)
def test_precisions_of_intel(flags: set[str], bf16: str | None, int8: str | None) -> None:
    found = by_name(precisions(replace(SERVER, flags=frozenset(flags)), None))
    assert found["bf16"].ok is (bf16 is not None)
    assert found["int8"].ok is (int8 is not None)
    assert found["bf16"].detail.startswith(bf16 or "not on this processor; runs as fp32")
    assert int8 is None or found["int8"].detail.startswith(int8)
    assert ("slower" in found["bf16"].detail) is (bf16 is None and "avx512f" in flags)


def test_precisions_of_arm() -> None:
    found = by_name(precisions(replace(JETSON, flags=frozenset({"asimd", "asimddp", "bf16"})), None))
    assert found["fp32"].detail == "NEON"
    assert not found["bf16"].ok
    assert "OpenVINO does not use it" in found["bf16"].detail
    assert found["int8"].ok
    assert "Jetson" in found["name"].detail


def test_openvino_that_does_not_see_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = by_name(precisions(SERVER, ("FP32", "INT8")))
    assert not found["openvino takes"].ok
    assert "unset ONEDNN_MAX_CPU_ISA (AVX2)" in found["openvino takes"].detail
    assert by_name(precisions(SERVER, ("FP32", "BF16", "INT8")))["openvino takes"].ok


def test_openvino_and_linux_agree_on_bf16() -> None:
    about, said = read_processor(), openvino_capabilities()
    assert said is not None
    assert "FP32" in said
    if about.machine == "x86_64" and about.instructions("bf16"):
        assert "BF16" in said


def test_a_good_machine_has_no_complaint() -> None:
    assert [finding for finding in limits(SERVER) if not finding.ok] == []


def test_what_holds_a_jetson_back() -> None:
    found = by_name(limits(JETSON))
    assert {name for name, finding in found.items() if not finding.ok} == {"cores off", "governor", "temperature"}
    assert "4-5; sudo nvpmodel -q" in found["cores off"].detail
    assert "jetson_clocks" in found["governor"].detail
    assert "91 degrees" in found["temperature"].detail


def test_what_holds_a_container_back() -> None:
    about = replace(SERVER, quota=2.5, throttled=0.25, memory_mb=512.0, governors=(), allowed=(0, 1, 2), cores=3)
    found = by_name(limits(about))
    assert {name for name, finding in found.items() if not finding.ok} == {"container limit", "memory"}
    assert "2.5 of 3 processors" in found["container limit"].detail
    assert "25% of its periods" in found["container limit"].detail
    assert "num_threads=2" in found["container limit"].detail
    assert "0-2 of 0-3" in found["cores"].detail
    assert "512 MB" in found["memory"].detail


def test_hyper_threads_are_told_from_cores() -> None:
    found = by_name(limits(replace(SERVER, cores=2)))
    assert found["cores"].detail.startswith("2 cores seen as 4")
    assert "--threads 2" in found["cores"].detail


@pytest.mark.parametrize(("machine", "least"), GLIBC_OF_OPENVINO.items())
def test_an_old_c_library(machine: str, least: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    about = replace(SERVER, machine=machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", f"{least[0]}.{least[1]}"))
    assert c_library(about).ok
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", f"{least[0]}.{least[1] - 1}"))
    assert not c_library(about).ok
    assert "onnxruntime" in c_library(about).detail
