"""The page on the service says what is so, and the operations page keeps to itself."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from policies.service.http.routes import ROUTES
from policies.service.settings import settings_of
from tests.policies.service.serving import Served, hash_of, sender

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
OPS = (ROOT / "policies" / "service" / "http" / "ops.html").read_text(encoding="utf-8")


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    text: str = found
    return text


def test_the_settings_on_the_page_are_read_and_answer_its_question() -> None:
    tree = tomllib.loads(block("toml"))
    assert settings_of(tree).constraints.gap_hours == 4
    it = Served(settings={**tree, "keys": [], "ledger": None})
    try:
        question = json.loads(block("json"))
        it.ask("PATCH", f"/v1/users/{question['user_id']}", {"permitted": ["push"], "time_zone": "Europe/Paris"})
        answer = it.ask("POST", "/v1/decide", question).json()
        assert answer["send"] == "digest"
        assert answer["policy_hash"] == hash_of(sender())
        assert {(s["campaign"], s["reason"]) for s in answer["suppressed"]} >= {("sale", "not in audience")}
    finally:
        it.service.close()


def test_the_table_names_every_endpoint_with_its_role() -> None:
    table = [row.strip("|").split("|") for row in PAGE.splitlines() if row.startswith("| `")]
    for route in ROUTES:
        rows = [row for row in table if route.method in row[0] and re.search(rf"[ `]{re.escape(route.path)}`", row[0])]
        assert [row[1].strip() for row in rows] == [route.role], (route.method, route.path)


def test_the_operations_page_asks_nobody_else() -> None:
    addresses = set(re.findall(r"https?://[^\"')\s]+", OPS))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a name, not an address that is asked"
    assert set(re.findall(r"fetch\(([^,]+),", OPS)) == {'"/v1/ops"', 'killed ? "/v1/unkill" : "/v1/kill"'}
    assert "innerHTML" not in OPS
    assert "insertAdjacentHTML" not in OPS
    assert not re.search(r"<(link|img|iframe|script\s+src)", OPS)
