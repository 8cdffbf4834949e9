"""The command line as a person meets it: real processes, exit codes, one-line errors, a quick --help."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from graspnext.cli.main import COMMANDS, main


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "graspnext", *words], capture_output=True, text=True, check=False)


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = "import sys; from graspnext.cli.main import main; main(['--help']); print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usage, modules = result.stdout.rsplit("\n[", 1)
    for command in COMMANDS:
        assert f"  {command} " in usage
    for heavy in ("torch", "numpy", "mujoco", "openvino", "tyro", "pydantic"):
        assert f"'{heavy}'" not in modules


def test_help_answers_quickly() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert run("--help").returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.returncode == 0, result.stderr
    assert "graspnext" in result.stdout


def test_unknown_command_is_one_line_and_exit_2() -> None:
    result = run("pick")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "unknown command 'pick'" in result.stderr


def test_no_words_prints_usage_and_fails() -> None:
    result = run()
    assert result.returncode == 2
    assert "usage: graspnext" in result.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("graspnext ")


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what an install without it looks like to an import
    for name in [
        name for name in sys.modules if name.startswith("graspnext.network") or name == "graspnext.cli.profile"
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["profile", "fast"]) == 2
    assert "pip install 'graspnext[train]'" in capsys.readouterr().err


def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "x.png", "--model", "m" * 300, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
