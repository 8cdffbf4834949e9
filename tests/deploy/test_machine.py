"""What is said about the machine is true."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from graspnext.deploy.timing.machine import LoadMeter, allowed_cores, describe_machine, peak_memory_mb, pinned
from graspnext.errors import ConfigError

SPIN = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"


def test_the_description_names_processor_and_libraries() -> None:
    about = describe_machine()
    assert about["cpu"] and about["cores"] >= len(about["allowed_cores"]) >= 1 and about["memory_gb"] > 0.5
    assert about["libraries"]["numpy"] == np.__version__
    assert set(about["allowed_cores"]) <= set(range(4096))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")
def test_pinning_holds_for_children_and_ends() -> None:
    before = allowed_cores()
    with pinned(before[:1]):
        asked = "import os; print(sorted(os.sched_getaffinity(0)))"
        said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
        assert said.strip() == str(before[:1])
    assert allowed_cores() == before
    with pinned(()):
        assert allowed_cores() == before
    with pytest.raises(ConfigError, match="pin"), pinned((10_000,)):
        pass


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory_mb()
    held = np.ones(40_000_000, dtype=np.float64)  # 320 MB
    assert held[-1] == 1
    del held
    assert peak_memory_mb() >= max(before, 320)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says how busy it is")
def test_own_work_is_told_from_that_of_others() -> None:
    meter = LoadMeter()
    child = subprocess.Popen([sys.executable, "-c", SPIN])  # ours: must not count as another program
    stranger = subprocess.Popen(
        ["setsid", "sh", "-c", f'"{sys.executable}" -c "{SPIN}" >/dev/null & echo $!'],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stranger.stdout is not None
    number = int(stranger.stdout.readline())
    stranger.wait()  # the one that it started now belongs to nobody we know
    try:
        time.sleep(0.3)
        meter.start()
        begun = (_used_s(child.pid), _used_s(number))
        time.sleep(2.0)
        ours, theirs = _used_s(child.pid) - begun[0], _used_s(number) - begun[1]
        others = meter.other_cores()
    finally:
        child.kill()
        child.wait()
        os.kill(number, 9)
    assert others is not None and ours > 0
    assert others >= 0.6 * theirs / 2.0
    assert others <= len(os.sched_getaffinity(0)) - 0.6 * ours / 2.0 + 0.2


def _used_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
