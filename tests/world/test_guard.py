from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.world import runs

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
_CODE = """
import subprocess, sys, time
from graspnext.world.guard import guarded
other = subprocess.Popen(["sleep", "60"])
with guarded() as guard:
    child = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60; true"])
    guard.watch()
    time.sleep(2.5)
    print(other.pid, child.pid, flush=True)
    time.sleep(float(sys.argv[1]))
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["killed", "left"])
def test_what_was_started_in_the_block_ends_with_it(how: str) -> None:
    run = subprocess.Popen([sys.executable, "-c", _CODE, "60" if how == "killed" else "0"], stdout=subprocess.PIPE)
    assert run.stdout is not None
    other, child = (int(word) for word in run.stdout.readline().split())
    family = [child, *runs.descendants(child)]
    assert len(family) == 3
    if how == "killed":
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert not runs.wait_until_gone(family)
    assert runs.is_running(other)  # was there before the block: none of its business
    run.kill()
    runs.kill(other)
    time.sleep(0.1)
