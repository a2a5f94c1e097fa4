"""Pages as a real browser shows them: no errors, no network, no sideways scrolling, order, contrast, paper."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from experiments.report.comparison_page import write_comparison_page
from experiments.report.run_page import write_run_page
from experiments.report.sweep_page import write_sweep_page
from experiments.results import write_text
from experiments.robustness.matrix import matrix
from experiments.robustness.page import robustness_page
from experiments.robustness.sensitivity import chosen, parameters, sensitivity
from experiments.robustness.trial import Size
from experiments.robustness.worlds import chosen_worlds, differing
from tests.browser import DESK, PHONE, asked_for, at_width, browser, console_errors, sideways
from tests.experiments.report.sample_run import sample_run
from tests.experiments.report.sample_sweep import sample_sweep
from tests.experiments.robustness.policies import both, home

PAGES = ("run", "comparison", "sweep", "robustness")
SMALLEST_LETTERS = """
return Math.min(...[...document.querySelectorAll('figure svg text')].map(t => t.getBoundingClientRect().height))
"""
BROKEN_LINKS = """
return [...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    runs = [sample_run(root / "results", seed=seed, shift=0.01 * seed) for seed in (1, 2, 3)]
    write_run_page(runs[0], root / "run.html")
    write_comparison_page(runs, root / "comparison.html")
    write_sweep_page(sample_sweep(root), root / "sweep.html")
    write_text(root / "robustness.html", robustness(root / "done"))
    return {name: root / f"{name}.html" for name in PAGES}


def robustness(kept: Path) -> str:
    worlds, _ = differing(chosen_worlds("shock,opens-half"), home(3))
    eager, modest = both()
    size = Size(20, 1)
    movable, unmoved = parameters(home(3))
    moving = chosen(movable, ("response.push_logit", "withdrawal.relevance_relief"))
    turned = sensitivity(home(3), eager, modest, moving, unmoved, size, kept)
    return robustness_page(
        matrix(worlds, (eager, modest), "modest", size, kept), turned, "kairos robustness", ("same",)
    )


def opened(driver: Any, page: Path) -> None:
    driver.get("about:blank")
    asked_for(driver)
    console_errors(driver)
    driver.get(page.as_uri())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_and_has_no_errors(driver: Any, pages: dict[str, Path], name: str) -> None:
    opened(driver, pages[name])
    assert asked_for(driver) == [pages[name].as_uri()]
    assert console_errors(driver) == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", [PHONE, (320, 640), DESK])
def test_a_page_does_not_scroll_sideways(driver: Any, pages: dict[str, Path], name: str, size: tuple[int, int]) -> None:
    opened(driver, pages[name])
    at_width(driver, size)
    assert driver.execute_script("return window.innerWidth") == size[0]
    assert sideways(driver) <= 0
    smallest = driver.execute_script(SMALLEST_LETTERS)
    assert smallest >= (9.5 if size[0] >= PHONE[0] else 7.5)  # letters in pictures stay readable


@pytest.mark.parametrize("name", PAGES)
def test_headings_are_in_order_and_pictures_have_words(driver: Any, pages: dict[str, Path], name: str) -> None:
    opened(driver, pages[name])
    levels = driver.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    unnamed = driver.execute_script(
        "return [...document.querySelectorAll('img, svg')].filter(p => p.getAttribute('aria-hidden') !== 'true' && "
        "!(p.getAttribute('alt') || p.getAttribute('aria-label') || '').trim()).length"
    )
    assert unnamed == 0
    assert driver.execute_script("return document.querySelectorAll('svg[role=img]').length") >= 3
    assert driver.execute_script("return document.documentElement.lang") == "en"
    broken = driver.execute_script(BROKEN_LINKS)
    assert broken == 0
    twice = driver.execute_script(
        "const ids = [...document.querySelectorAll('[id]')].map(e => e.id); return ids.length - new Set(ids).size"
    )
    assert twice == 0


CONTRAST = """
const luminance = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
const paper = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (c && !c.startsWith('rgba(0, 0, 0, 0')) return c; } return 'rgb(255, 255, 255)' };
const words = 'p, td, th, li, a, h1, h2, h3, figcaption, code, figure svg text:not(.in)';
return [...document.querySelectorAll(words)].map(e => {
  const style = getComputedStyle(e), ink = e.tagName === 'text' ? style.fill : style.color;
  const [high, low] = [luminance(ink), luminance(paper(e))].sort((a, b) => b - a);
  return [(high + .05) / (low + .05), e.tagName, e.textContent.slice(0, 40)] }).sort((a, b) => a[0] - b[0])[0]
"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_in_light_and_dark(driver: Any, pages: dict[str, Path], name: str, dark: bool) -> None:
    opened(driver, pages[name])
    at_width(driver, DESK, dark=dark)
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    least = driver.execute_script(CONTRAST)
    assert least[0] >= 4.5, least  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_on_light_paper(driver: Any, pages: dict[str, Path], name: str) -> None:
    opened(driver, pages[name])
    at_width(driver, DESK, dark=True)
    pdf = base64.b64decode(driver.print_page())
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
