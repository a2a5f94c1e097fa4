"""The operations page as a browser shows it: numbers, rights, the kill switch, a phone, the dark."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from tests.policies.service.browser import (
    CAMPAIGNS,
    Told,
    addresses_asked,
    browser,
    complaints,
    live_for,
    on_a_port,
    sized,
    with_policies,
)
from tests.policies.service.serving import Served, sender, served
from tests.policies.service.test_described import key

OPERATOR, VIEWER, APP = "operator", "viewer", "app"
KEYS = [key(OPERATOR, "decide", "outcomes", "admin", "metrics"), key(VIEWER, "metrics"), key(APP, "decide")]
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR}"}
EVIL = "<img src=x onerror=alert(1)>"
SETTINGS = {
    "keys": KEYS,
    "campaigns": [*CAMPAIGNS, {"name": EVIL, "channels": ["email"]}],
    "constraints": {"gap_hours": 1, "caps": [{"name": "push-a-day", "limit": 2, "window": "day"}]},
}
USERS = [f"user {k}" for k in range(200)]
MINUTES = 50  # all within the page's hour


class Board(NamedTuple):
    """A service that has lived for a while, and a browser at its page's address."""

    it: Served
    driver: Any
    url: str
    told: Told
    hashes: dict[str, str]


@pytest.fixture(scope="module")
def lived() -> Iterator[Board]:
    with browser() as driver, served(sender("evening push, learned 3 March"), SETTINGS) as it:
        hashes = with_policies(it)
        told = live_for(it, MINUTES, AS_OPERATOR, USERS)
        with on_a_port(it) as url:
            yield Board(it, driver, url, told, hashes)


@pytest.fixture
def board(lived: Board) -> Iterator[Board]:
    """The page, opened anew, with nobody signed in, and at the end without a complaint or a stranger's address."""
    driver, url = lived.driver, lived.url
    driver.get(f"{url}/healthz")
    driver.execute_script("sessionStorage.clear()")
    addresses_asked(driver), complaints(driver)
    sized(driver, 1200)
    driver.get(f"{url}/ops")
    yield lived
    # That a request was answered with 401 or 403 is told by the browser itself, and meant.
    assert [
        words for words in complaints(driver) if "status of 401" not in words and "status of 403" not in words
    ] == []
    asked = addresses_asked(driver)
    assert f"{url}/ops" in asked
    assert {address for address in asked if not address.startswith(f"{url}/")} == set()


def until(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What comes true within a few seconds."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
    return found


def at(driver: Any, name: str) -> Any:
    return driver.find_element("id", name)


def text(driver: Any, name: str) -> str:
    found: str = driver.execute_script("return document.getElementById(arguments[0]).textContent", name)
    return found


def sign_in(driver: Any, name: str) -> None:
    until(lambda: at(driver, "door").is_displayed())
    at(driver, "key").send_keys(name, "\n")


def signed_in(board: Board, name: str = VIEWER) -> Any:
    """The browser, once the page shows its numbers."""
    sign_in(board.driver, name)
    until(lambda: at(board.driver, "board").is_displayed())
    return board.driver


TILES = """
return [...document.querySelectorAll('.tile')].map(
  tile => [tile.children[1].textContent, tile.children[0].textContent]);
"""
ROWS = """
return [...document.querySelectorAll(`#${arguments[0]} tr`)]
  .map(row => [...row.children].map(cell => cell.textContent));
"""
BARS = """
return [...document.querySelectorAll(`#${arguments[0]} .bar`)]
  .map(bar => [bar.children[0].textContent, bar.children[2].textContent]);
"""
NONE = "\N{EN DASH}"


def number(shown: str) -> int:
    return int(shown.split(" ", maxsplit=1)[0].replace(",", ""))


def tiles(driver: Any) -> dict[str, int]:
    """The tiles that count, without the shares."""
    return {name: number(shown) for name, shown in driver.execute_script(TILES) if "%" not in shown and shown != NONE}


def rows(driver: Any, name: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell."""
    return {row[0]: row[1:] for row in driver.execute_script(ROWS, name)[1:]}


def bars(driver: Any, name: str) -> dict[str, int]:
    return {word: number(shown) for word, shown in driver.execute_script(BARS, name)}


def choose(driver: Any, name: str, value: str) -> None:
    driver.execute_script(
        "const list = document.getElementById(arguments[0]); list.value = arguments[1];"
        "list.dispatchEvent(new Event('change'))",
        name,
        value,
    )


def expected(told: Told, policy: str = "", campaign: str = "") -> tuple[dict[str, int], dict[str, int]]:
    """The tiles and the reasons, from the service's answers."""
    n: dict[str, int] = dict.fromkeys(("decisions", "sends", "opens", "opt-outs", "held back"), 0)
    reasons: dict[str, int] = {}
    for (policy_hash, name, what), times in told.items():
        if policy and policy_hash != policy:
            continue
        n["decisions"] += times * (what in ("send", "no_send"))
        if campaign and name != campaign:
            continue
        for tile, word in (("sends", "send"), ("opens", "opened"), ("opt-outs", "opt_out")):
            n[tile] += times * (what == word)
        if what.startswith("suppressed: "):
            n["held back"] += times
            reasons[what[12:]] = reasons.get(what[12:], 0) + times
    return n, reasons


def role_that_decides(board: Board) -> str:
    found = board.it.ask("POST", "/v1/decide", {"user_id": "one"}, headers=AS_OPERATOR).json()
    board.told[found["policy_hash"], found["send"] or "", "send" if found["send"] else "no_send"] += 1
    board.told.update(
        (found["policy_hash"], one["campaign"], f"suppressed: {one['reason']}") for one in found["suppressed"]
    )
    role: str = found["role"]
    return role


def test_nobody_sees_anything_without_a_key_that_may(board: Board) -> None:
    driver = board.driver
    until(lambda: text(driver, "state") == "needs a key")
    assert "Sign in with an API key that has the role metrics" in text(driver, "notes")
    assert not at(driver, "board").is_displayed()
    assert not at(driver, "kill").is_displayed()
    sign_in(driver, "a wrong key")
    until(lambda: "expected `Bearer KEY` with one of the service's keys" in text(driver, "notes"))
    sign_in(driver, APP)
    until(lambda: text(driver, "state") == "not allowed")
    assert text(driver, "notes") == "key 'app': expected the role metrics"
    assert not at(driver, "board").is_displayed()


def test_it_shows_what_was_answered_by_campaign_and_policy(board: Board) -> None:
    driver, told = signed_in(board), board.told
    assert text(driver, "state") == "serving"
    for policy, campaign in (
        ("", ""),
        (board.hashes["canary"], ""),
        (board.hashes["active"], "spring sale"),
        ("", "abandoned cart"),
        ("", EVIL),
    ):
        choose(driver, "policy", policy)
        choose(driver, "campaign", campaign)
        shown, reasons = expected(told, policy, campaign)
        assert tiles(driver) == shown, (policy, campaign)
        assert bars(driver, "reasons") == dict(sorted(reasons.items(), key=lambda pair: -pair[1])[:12])
        for name, cells in rows(driver, "campaigns").items():
            own, _ = expected(told, policy, name)
            assert [cells[0], cells[1], cells[5]] == [str(own["sends"]), str(own["opens"]), str(own["opt-outs"])], name
        shadow = bars(driver, "shadow")
        assert sum(shadow.values()) == shown["decisions"], "the shadow decides beside every decision"
    assert {"same", "silent, the policy sent", "another message"} <= set(shadow)
    assert EVIL in rows(driver, "campaigns"), "a name is text, never markup"
    by_role = {
        re.findall(r"fallback|active|canary|shadow", name)[-1]: cells
        for name, cells in rows(driver, "policies").items()
    }
    for role in ("active", "canary"):
        own, _ = expected(told, board.hashes[role])
        assert by_role[role][2:4] == [f"{own['sends']:,}", f"{own['opt-outs']:,}"]
    assert [by_role[role][1] for role in ("active", "canary", "shadow")] == ["the others", "20.0 %", NONE]
    assert "is canary for 0.2 of the users" in text(driver, "history")
    assert len(driver.find_elements("css selector", "#chart polyline")) == 3


def test_it_goes_on_by_itself_and_says_when_nobody_answers(board: Board) -> None:
    driver = signed_in(board)
    before = tiles(driver)["decisions"]
    role_that_decides(board)
    until(lambda: tiles(driver)["decisions"] == before + 1)
    driver.execute_script("window.fetch = () => Promise.reject(new Error('gone')); look()")
    until(lambda: text(driver, "state") == "no answer")
    assert re.fullmatch(r"What is below is from \d\d:\d\d:\d\d UTC\.", text(driver, "notes"))
    assert at(driver, "board").is_displayed()


def press(driver: Any, button: str) -> None:
    at(driver, "kill").click()
    until(lambda: at(driver, "sure").is_displayed())
    at(driver, button).click()
    until(lambda: not at(driver, "sure").is_displayed())


def test_the_kill_switch_works_from_the_page_and_back(board: Board) -> None:
    driver = signed_in(board, OPERATOR)
    press(driver, "no")
    assert role_that_decides(board) != "fallback", "asked twice, and left"
    press(driver, "yes")
    until(lambda: text(driver, "state") == "killed")
    assert role_that_decides(board) == "fallback"
    assert "killed: the fallback decides" in text(driver, "notes")
    assert at(driver, "kill").text == "Decide again"
    press(driver, "yes")
    until(lambda: text(driver, "state") == "serving")
    assert role_that_decides(board) != "fallback"
    until(lambda: "operator: killed" in text(driver, "history"))


def test_who_may_not_kill_is_told(board: Board) -> None:
    driver = signed_in(board, VIEWER)
    press(driver, "yes")
    until(lambda: text(driver, "told") == "key 'viewer': expected the role admin")
    assert text(driver, "state") == "serving"
    assert role_that_decides(board) != "fallback"
    at(driver, "leave").click()
    until(lambda: text(driver, "state") == "needs a key")
    assert not at(driver, "board").is_displayed()
    assert text(driver, "told") == ""


BEYOND = """
const isBeyond = place => place.right > innerWidth + 0.5 || place.left < 0;
return [...document.querySelectorAll('header *, .filters *, .card, #chart')]
  .filter(place => place.getClientRects().length && isBeyond(place.getBoundingClientRect()))
  .map(place => place.outerHTML.slice(0, 80));
"""
LABELS = """
return [...document.querySelectorAll('#chart text')].filter(label => label.textContent.includes(':'))
  .map(label => label.getBoundingClientRect()).map(box => [box.left, box.right]);
"""


@pytest.mark.parametrize("width", [390, 760, 1200])
def test_nothing_lies_beyond_the_edge(board: Board, width: int) -> None:
    driver = board.driver
    sized(driver, width)
    for _ in ("the door", "the board"):
        inside = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert inside == [width, width]
        assert driver.execute_script(BEYOND) == []
        if not at(driver, "board").is_displayed():
            signed_in(board)
    # The labels of the axis do not lie on one another.
    ends = driver.execute_script(LABELS)
    assert len(ends) >= 3
    assert all(right < left for (_, right), (left, _) in pairwise(ends))


CONTRASTS = """
const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = colour => {
  const [r, g, b] = colour.match(/[0-9.]+/g).map(c => linear(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = place => {
  for (; place; place = place.parentElement) {
    const colour = getComputedStyle(place).backgroundColor;
    if (!colour.endsWith(', 0)')) return colour;
  }
  return 'rgb(255, 255, 255)';
};
const hasWords = place => [...place.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
return [...document.querySelectorAll('main *')].filter(place => place.offsetParent && hasWords(place)).map(place => {
  const pair = [light(getComputedStyle(place).color), light(behind(place))].sort((a, b) => b - a);
  return [(pair[0] + 0.05) / (pair[1] + 0.05), place.outerHTML.slice(0, 90)];
});
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read_by_day_and_by_night(board: Board, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    driver = board.driver
    sized(driver, 1200, scheme)
    signed_in(board)
    found = driver.execute_script(CONTRASTS)
    assert len(found) > 60
    assert [(round(ratio, 2), what) for ratio, what in found if ratio < 4.5] == []
    page = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    is_dark = sum(map(int, re.findall(r"\d+", page))) < 384
    assert is_dark == (scheme == "dark")
