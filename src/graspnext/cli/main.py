"""`graspnext VERB ...`: finds the command's file, runs it, and turns named errors into one line and exit code 2."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence

from graspnext import __version__
from graspnext.cli.output import say
from graspnext.errors import GraspNextError

COMMANDS: dict[str, str] = {
    "predict": "find parts and suction points in pictures, videos and camera streams",
    "world": "make labelled bin scenes",
    "data": "check, show and sum up datasets; convert those of others",
    "profile": "count a network's parameters and multiply-accumulates",
    "weights": "turn a .pth file of torchvision into pretrained weights for train",
    "train": "train a network on a dataset",
    "evaluate": "measure a training run or a bundle on a dataset",
    "table": "train and measure the rows of the paper's table under one protocol",
    "export": "turn a training run into a model bundle",
    "verify": "compare a bundle with its training run, in every runtime and precision",
    "benchmark": "time networks side by side, from a picture's file to its prediction",
    "doctor": "say what is installed and working, and what to do about the rest",
}
"""Verb -> one line of help. Each verb is `graspnext.cli.<verb>` with `main(arguments) -> exit code`."""

EXTRA_OF: dict[str, str] = {
    "torch": "train",
    "torchvision": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxscript": "export",
    "mujoco": "world",
    "trimesh": "world",
    "embreex": "world",
    "scipy": "world",
    "manifold3d": "world",
    "coacd": "world",
    "yaml": "world",
    "h5py": "data",
    "ray": "cluster",
    "joblib": "cluster",
}
"""Library that the core install leaves out -> the extra that brings it."""


def usage() -> str:
    """The text of `graspnext --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {verb:<{width}}  {summary}" for verb, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: graspnext VERB [OPTIONS]",
            "",
            "From CAD files of parts to a suction-picking network on the robot's own computer.",
            "",
            *lines,
            "",
            "graspnext VERB --help says more.",
            "Exit codes: 0 done, 1 a gate is broken, 2 bad input, 130 interrupted, 143 terminated.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after the program's name; those of this process when None.

    Returns:
        0 done, 1 a gate of `verify` is broken, 2 bad input or environment (one line on stderr), 130 interrupted, 143
        terminated.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage() + "\n")
        return 0 if words else 2
    if words[0] in {"-V", "--version"}:
        sys.stdout.write(f"graspnext {__version__}\n")
        return 0
    if words[0] not in COMMANDS:
        sys.stderr.write(f"error: unknown command '{words[0]}'; choose one of: {', '.join(COMMANDS)}\n")
        return 2
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `graspnext ... | head` ends quietly
    try:
        command = importlib.import_module(f"graspnext.cli.{words[0]}")
        return int(command.main(words[1:]))
    except GraspNextError as error:
        say(sys.stderr, f"error: {' '.join(str(error).split())}\n")
        return 2
    except OSError as error:  # a path that the system refuses, whatever the command wanted with it
        if error.filename is None:
            raise
        say(sys.stderr, f"error: {error.filename}: {error.strerror}; check the path and its permissions\n")
        return 2
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        say(sys.stderr, f"error: {error.name} is needed for this command; pip install 'graspnext[{extra}]'\n")
        return 2
    except KeyboardInterrupt as interruption:  # some commands say what they saved
        say(sys.stderr, f"{str(interruption) or 'interrupted'}\n")
        return 130
    finally:
        for stream in (sys.stdout, sys.stderr):  # what is left for readers who have gone would make it exit code 120
            say(stream, "")
