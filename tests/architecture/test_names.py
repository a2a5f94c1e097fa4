"""Names and sizes: the name of a file is its idea, a file fits in a head, the top level does not grow."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.imports import PACKAGES, ROOT, python_files

NAMELESS = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})
MAX_LINES = 500
TOP_LEVEL = frozenset(
    {
        *("pyproject.toml", "simulator", "agents", "policies", "experiments", "configs", "tests", "results"),
        *("README.md", "DESIGN.md", "CHANGELOG.md", "LICENSE", "Makefile", "constraints.txt", "docs"),
        *(".ci", ".gitignore", ".gitattributes"),
    }
)


def nameless(root: Path) -> list[str]:
    """Python files and folders whose name says nothing, relative to the root."""
    paths = {path.relative_to(root) for path in python_files(root, (*PACKAGES, "tests"))}
    return sorted(str(path) for path in paths if NAMELESS.intersection(path.with_suffix("").parts))


def oversized(root: Path) -> list[str]:
    sizes = {
        path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(root, (*PACKAGES, "tests"))
    }
    return [f"{file}: {n_lines} lines, at most {MAX_LINES}" for file, n_lines in sizes.items() if n_lines > MAX_LINES]


def test_every_file_is_named_after_its_idea() -> None:
    assert nameless(ROOT) == []


def test_every_file_fits_in_a_head() -> None:
    assert not oversized(ROOT), "\n" + "\n".join(oversized(ROOT))


def test_the_top_level_is_the_fixed_one() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project cannot be told from those that do not")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {file.split("/", 1)[0] for file in listing.split("\0") if file}
    assert tracked - TOP_LEVEL == set(), "not in the fixed top level"
    assert TOP_LEVEL - tracked == set(), "missing from the top level"


@pytest.mark.parametrize("file", ["simulator/utils.py", "agents/bandits/common.py", "tests/helpers/luck.py"])
def test_a_nameless_file_is_found(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.touch()
    assert nameless(tmp_path) == [file]


@pytest.mark.parametrize(("n_lines", "n_found"), [(MAX_LINES, 0), (MAX_LINES + 1, 1)])
def test_an_oversized_file_is_found(tmp_path: Path, n_lines: int, n_found: int) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "ppo.py").write_text("pass\n" * n_lines, encoding="utf-8")
    assert len(oversized(tmp_path)) == n_found
