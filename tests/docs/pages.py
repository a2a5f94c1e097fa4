"""Runs a page of `docs` as its reader would: its blocks one after another, in one folder.

| block | what |
|---|---|
| ```` ```sh ```` | is run; it may not fail |
| ```` ```python ```` | is run by a Python of its own |
| ```` ```python NAME ````, ```` ```yaml NAME ```` and so on | is written to the file NAME |
| ```` ```text ```` | what the block before it prints on standard output; `...` stands for anything |
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECONDS = 240.0  # of one block; the first of all may compile


class Block(NamedTuple):
    """A block of a page.

    Attributes:
        language: after its fence.
        name: of the file that it is; "" for none.
        line: of the page, from 1.
    """

    language: str
    name: str
    text: str
    line: int


class PageError(AssertionError):
    """A block does not do what its page says."""


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(found.group(1), found.group(2) or "", found.group(3), line)


def run_page(page: Path, folder: Path) -> int:
    """Run a page's blocks in a folder; return how many were run or compared.

    Raises:
        PageError: a block fails, or prints something else than the page says.
    """
    printed, n_blocks = "", 0
    for block in blocks_of(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        if block.name:
            (folder / block.name).write_text(block.text, encoding="utf-8")
        elif block.language == "text":
            require_printed(block.text, printed, where)
        elif block.language in ("sh", "python"):
            printed = _run(block, folder, where)
        else:
            raise PageError(f"{where}: expected sh, python, text or the name of a file, got {block.language!r}")
        n_blocks += 1
    return n_blocks


def require_printed(told: str, printed: str, where: str) -> None:
    """Raise unless what was printed is what the page tells, spaces at ends of lines aside."""
    words = (part for part in re.split(r"\.\.\.", _stripped(told)))
    if re.fullmatch(".*?".join(map(re.escape, words)), _stripped(printed), re.DOTALL) is None:
        raise PageError(f"{where}: the page says\n{told}\nand this was printed:\n{printed}")


def _run(block: Block, folder: Path, where: str) -> str:
    """Run a block, and return what it prints."""
    shell = ["bash", "-euo", "pipefail", "-c", block.text]
    command = shell if block.language == "sh" else [sys.executable, "-c", block.text]
    beside = Path(sys.executable).parent  # where `kairos` is
    variables = os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise PageError(f"{where}: exit code {done.returncode}\n{block.text}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
