"""What the documents say can be done: links lead somewhere, command lines parse, files that are named are there."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

from graspnext.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[1]
GUIDES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
DOCUMENTS = [*GUIDES, *sorted(ROOT.glob("results/**/*.md"))]
OF_OTHERS = {"associate.py"}
"""Programs that come with data sets of others."""
STANDS_FOR = {"PRESET": "fast", "N": "2", "SIZE": "640", "PX": "640"}
"""Words in capitals that stand for something other than a path."""


def prose_and_blocks(text: str) -> tuple[str, str]:
    """A document without its blocks of code, and those blocks; a block is fenced, or indented after an empty line."""
    blocks: list[str] = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = r"(?:(?<=\n\n)|\A)(?:(?: {4}|\t)[^\n]*(?:\n|\Z))+"
    blocks += re.findall(indented, text)
    return re.sub(indented, "", text), "\n".join(blocks)


def command_lines(text: str) -> Iterator[tuple[list[str], bool]]:
    """The words after `graspnext` of every command line that a document quotes, and whether it stands in full.

    In a sentence, options that must be given may be left out: `graspnext evaluate RUN`.
    """
    prose, blocks = prose_and_blocks(text)
    lines = [(line.strip(), True) for line in blocks.replace("\\\n", " ").splitlines()]
    lines += [(" ".join(quoted.split()), False) for quoted in re.findall(r"`([^`]+)`", prose)]
    for line, full in lines:
        found = re.match(r"(?:\w+=\S+ )*(?:\S+ .*-m |python -m |\.venv\S*/bin/)?graspnext( .*)?$", line)
        if found and found[1]:
            words = shlex.split(re.split(r" [|>] ", found[1])[0], comments=True)
            yield [STANDS_FOR.get(word, word) for word in words if word != "..."], full


def quoted_commands() -> list[Any]:
    return [
        pytest.param(words, full, id=f"{path.relative_to(ROOT)}: {' '.join(words)}"[:90])
        for path in GUIDES
        if path.name != "CHANGELOG.md"
        for words, full in command_lines(path.read_text())
    ]


class ParsedError(Exception):
    """The words were understood; nothing was run."""


@pytest.fixture
def only_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command ends where its options are read."""
    parse: Callable[..., Any] = tyro.cli

    def stop(kind: Any, **options: Any) -> Any:
        if inspect.isfunction(kind) and kind.__name__ != "parse":

            @functools.wraps(kind)
            def command(*_: Any, **__: Any) -> None:
                return None

            parse(command, **options)
        else:
            parse(kind, **options)
        raise ParsedError

    monkeypatch.setattr(tyro, "cli", stop)


def run(words: list[str]) -> int:
    """Exit code of a command that ends where its options are read; 0 when they were understood."""
    try:
        return main(words)
    except ParsedError:
        return 0
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize(("words", "full"), quoted_commands())
def test_quoted_commands_parse(
    words: list[str], full: bool, only_parse: None, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] in {"VERB", "--help", "--version"}:
        return
    assert words[0] in COMMANDS, f"there is no 'graspnext {words[0]}'"
    code = run(words if len(words) > 1 else [*words, "--help"])
    said = capsys.readouterr().err
    if code and not full and ("Required options" in said or "Missing" in said or "usage" in said):
        verbs = list(itertools.takewhile(lambda word: re.fullmatch("[a-z]+", word), words))[:2]
        for verb in (verbs, verbs[:1]):  # of a command with verbs of its own, or of one without
            assert run([*verb, "--help"]) == 0
            code, said = 0, capsys.readouterr().out
            if all(option in said for option in words if option.startswith("--")):
                return
        code = 2
    assert code == 0, said


def test_wrong_options_would_be_found(only_parse: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The test above can fail."""
    for words in (["doctor", "--jsn", "x"], ["export", "runs/fast", "--no-such-option"], ["predict", "a", "--size"]):
        assert run(words) == 2
    assert "no-such-option" in capsys.readouterr().err
    assert list(command_lines("a `graspnext train fast\n--data bins`.\n\n    X=1 graspnext doctor  # so\n")) == [
        (["doctor"], True),
        (["train", "fast", "--data", "bins"], False),
    ]


def anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, as they are made of their words."""
    prose, _ = prose_and_blocks(path.read_text())
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    prose, _ = prose_and_blocks(path.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{path.name} links to {target}"
        assert there.is_relative_to(ROOT), f"{path.name} links out of the project: {target}"
        if anchor:
            assert anchor in anchors(there), f"{path.name}: there is no heading #{anchor} in {there.name}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_are_there(path: Path) -> None:
    if path.name == "CHANGELOG.md":  # of what was, too
        return
    known = [str(one.relative_to(ROOT)) for room in ("src", "tests", "scripts") for one in (ROOT / room).rglob("*.py")]
    prose, blocks = prose_and_blocks(path.read_text())
    code = [*re.findall(r"`([^`]+)`", prose), blocks]
    for name in re.findall(r"(?<![\w<>*])[\w][\w/]*\.py\b", "\n".join(code)):
        found = name in OF_OTHERS or any(f"/{one}".endswith(f"/{name}") for one in known)
        assert found, f"{path.name} names {name}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_of_make_are_there(path: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    prose, blocks = prose_and_blocks(path.read_text())
    code = "\n".join([*re.findall(r"`([^`]+)`", prose), *(line.strip() for line in blocks.splitlines())])
    for target in re.findall(r"^make (\w+)", code, re.MULTILINE):
        assert target in targets, f"{path.name}: there is no 'make {target}'"
