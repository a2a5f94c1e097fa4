"""The tutorials do what they say: every block is run, and prints what stands below it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.imports import ROOT
from tests.docs.pages import PageError, blocks_of, require_printed, run_page

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    assert run_page(page, tmp_path) >= 8


def test_each_kind_of_user_has_one() -> None:
    listed = (ROOT / "README.md").read_text("utf-8") + (ROOT / "docs" / "README.md").read_text("utf-8")
    assert len(TUTORIALS) == 4
    for page in TUTORIALS:
        assert listed.count(f"tutorials/{page.name}") == 2, page.name


def page_of(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_blocks_are_run_in_order_in_one_folder(tmp_path: Path) -> None:
    page = page_of(tmp_path, "One.\n```sh\necho a > a.txt\n```\n```python b.py\nprint(open('a.txt').read())\n```\n")
    assert run_page(page, tmp_path) == 2
    assert [(block.language, block.name, block.line) for block in blocks_of(page.read_text("utf-8"))] == [
        ("sh", "", 2),
        ("python", "b.py", 5),
    ]
    assert run_page(page_of(tmp_path, "```sh\npython b.py\n```\n```text\na\n```\n"), tmp_path) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\necho a\nfalse\n```\n", "page.md:1: exit code 1"),
        ("```sh\nfalse | true\n```\n", "page.md:1: exit code 1"),
        ("```python\nraise SystemExit(3)\n```\n", "page.md:1: exit code 3"),
        ("```sh\necho a\n```\n\n```text\nb\n```\n", "page.md:5: the page says\nb\n\nand this was printed:\na\n"),
        ("```json\n{}\n```\n", "page.md:1: expected sh, python, text or the name of a file, got 'json'"),
    ],
)
def test_a_page_that_does_not_do_what_it_says_is_told(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(PageError) as error:
        run_page(page_of(tmp_path, text), tmp_path)
    assert str(error.value).startswith(told)


def test_dots_stand_for_anything() -> None:
    require_printed("a ... c\n...\ne\n", "a b c\nd  \nd\ne\n", "here")
    with pytest.raises(PageError):
        require_printed("a ... c\n", "a b c\nd\n", "here")
