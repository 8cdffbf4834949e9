"""What is read off /proc and /sys, on the files of machines that are not this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graspnext.runtime.openvino_backend import compile_options
from graspnext.runtime.processor import INSTRUCTIONS, Processor, computes_bf16, read_processor

CPU = "sys/devices/system/cpu"
ARM_FLAGS = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def arm_cpuinfo(count: int, part: str, flags: str = ARM_FLAGS) -> str:
    block = "processor\t: {}\nBogoMIPS\t: 62.50\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU part\t: {}\n\n"
    return "".join(block.format(one, flags, part) for one in range(count))


def x86_cpuinfo(flags: list[str], name: str = "Intel(R) Core(TM) i7-8700") -> str:
    return "".join(f"processor\t: {i}\nmodel name\t: {name}\nflags\t\t: {line}\n\n" for i, line in enumerate(flags))


def jetson(root: Path) -> Processor:
    """An Orin Nano in a power mode that leaves four of its six cores on."""
    files = {
        "proc/cpuinfo": arm_cpuinfo(4, "0xd42"),
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "proc/meminfo": "MemTotal: 7802000 kB\nMemAvailable: 5000000 kB\n",
        "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
        f"{CPU}/online": "0-3\n",
        f"{CPU}/present": "0-5\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
        "sys/class/thermal/thermal_zone0/temp": "51250\n",
        "sys/class/thermal/thermal_zone1/temp": "84500\n",
    }
    files |= {f"{CPU}/cpu{one}/cpufreq/scaling_governor": "schedutil\n" for one in range(4)}
    files |= {f"{CPU}/cpu{one}/topology/thread_siblings_list": f"{one}\n" for one in range(4)}
    return read_processor(root=write_tree(root, files), allowed=range(4))


def container(root: Path) -> Processor:
    """Two processors' worth of time in a container on a server with hyper-threads."""
    flags = "fpu sse2 avx2 avx512f avx512_vnni"
    files = {
        "proc/cpuinfo": x86_cpuinfo([flags] * 8, "Intel(R) Xeon(R) Gold 6248"),
        "proc/meminfo": "MemAvailable: 64000000 kB\n",
        "proc/self/cgroup": "0::/\n",
        f"{CPU}/online": "0-7\n",
        f"{CPU}/present": "0-7\n",
        "sys/fs/cgroup/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 5\nnr_periods 400\nnr_throttled 100\nthrottled_usec 7\n",
        "sys/fs/cgroup/memory.max": "600000000\n",
        "sys/fs/cgroup/memory.current": "100000000\n",
    }
    files |= {f"{CPU}/cpu{one}/topology/thread_siblings_list": f"{one % 4},{one % 4 + 4}\n" for one in range(8)}
    return read_processor(root=write_tree(root, files), allowed=range(8))


def test_jetson(tmp_path: Path) -> None:
    found = jetson(tmp_path)
    assert (found.machine, found.name) == ("aarch64", "Cortex-A78AE")
    assert found.board == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (found.online, found.offline, found.cores) == ((0, 1, 2, 3), (4, 5), 4)
    assert found.governors == ("schedutil",)
    assert found.quota is None
    assert found.memory_mb == pytest.approx(5120.0)
    assert (found.huge_pages, found.hottest_c) == ("always", 84.5)
    assert [found.instructions(one) for one in ("fp32", "bf16", "int8")] == ["NEON", None, "NEON dot product"]


def test_container_of_version_2(tmp_path: Path) -> None:
    found = container(tmp_path)
    assert (found.machine, found.name) == ("x86_64", "Intel(R) Xeon(R) Gold 6248")
    assert (len(found.allowed), found.cores) == (8, 4)
    assert (found.quota, found.throttled) == (2.0, 0.25)
    assert found.memory_mb == 500.0
    assert found.instructions("bf16") is None
    assert found.instructions("int8") == "AVX512-VNNI"


@pytest.mark.parametrize(
    ("about", "computes"),
    [
        (x86_cpuinfo(["avx2 avx512f avx512_bf16"]), True),
        (x86_cpuinfo(["avx2 avx512f amx_bf16"]), True),
        (x86_cpuinfo(["avx2 avx512f avx512_vnni"]), False),  # OpenVINO would imitate it
        (arm_cpuinfo(1, "0xd40", "asimd bf16 svebf16"), False),  # and has no use for these
        ("", True),  # nothing is known
    ],
)
def test_who_computes_in_bf16(about: str, computes: bool, tmp_path: Path) -> None:
    found = read_processor(root=write_tree(tmp_path, {"proc/cpuinfo": about}), allowed=[0])
    assert computes_bf16(found) is computes


def test_openvino_is_not_asked_to_imitate_bf16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for flags, asked in (("avx512f avx512_vnni", "f32"), ("avx512f avx512_bf16", "bf16")):
        about = read_processor(root=write_tree(tmp_path, {"proc/cpuinfo": x86_cpuinfo([flags])}), allowed=[0])
        monkeypatch.setattr("graspnext.runtime.openvino_backend.read_processor", lambda about=about: about)
        assert compile_options("bf16", 0)["INFERENCE_PRECISION_HINT"] == asked
        assert compile_options("fp32", 0)["INFERENCE_PRECISION_HINT"] == "f32"


def test_container_of_version_1_whose_path_is_not_mounted(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": x86_cpuinfo(["avx2"]),
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
        "proc/meminfo": "MemAvailable: 1000000 kB\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
    }
    found = read_processor(root=write_tree(tmp_path, files), allowed=[0])
    assert (found.quota, found.throttled) == (1.5, None)
    assert found.memory_mb == 1024.0
    assert found.online == (0,)


def test_the_tightest_group_above_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/robot/vision\n",
        "sys/fs/cgroup/robot/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/robot/vision/cpu.max": "300000 100000\n",
    }
    assert read_processor(root=write_tree(tmp_path, files), allowed=[0]).quota == 0.5


def test_only_what_every_core_has_counts(tmp_path: Path) -> None:
    text = arm_cpuinfo(1, "0xd05", "asimd") + arm_cpuinfo(1, "0xd0b").replace("processor\t: 0", "processor\t: 1")
    found = read_processor(root=write_tree(tmp_path, {"proc/cpuinfo": text}), allowed=[0, 1])
    assert found.flags == {"asimd"}
    assert found.name == "Cortex-A55 + Cortex-A76"
    assert found.instructions("int8") is None


def test_nothing_to_read_is_no_fault(tmp_path: Path) -> None:
    found = read_processor(root=tmp_path, allowed=[0])
    assert (found.flags, found.governors, found.quota, found.memory_mb) == (frozenset(), (), None, None)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux only")
def test_this_machine() -> None:
    found = read_processor()
    assert set(found.allowed) == os.sched_getaffinity(0)
    assert found.name
    assert 1 <= found.cores <= len(found.allowed)
    if found.machine in INSTRUCTIONS:
        assert found.instructions("fp32") is not None
