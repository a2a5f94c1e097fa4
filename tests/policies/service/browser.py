"""A real browser, and a service on a real port for it to look at."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from policies.service.server import LEAN
from tests.policies.service.postgres_process import free_port
from tests.policies.service.serving import Served, coin, sender

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@contextmanager
def browser() -> Iterator[Any]:
    """A driver of a fresh Chromium without a memory; without one, a skip."""
    webdriver = pytest.importorskip("selenium.webdriver")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: install Debian's packages `chromium` and `chromium-driver`")
    with tempfile.TemporaryDirectory(prefix="kairos-browser-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            found.set_page_load_timeout(20)
            yield found
        finally:
            found.quit()


def sized(driver: Any, width: int, scheme: str = "light", height: int = 900) -> None:
    """Give the window a width, and the user a liking for light or dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})


@contextmanager
def on_a_port(it: Served) -> Iterator[str]:
    """The address of a service, answered by a thread."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(it.app, host="127.0.0.1", port=port, log_level="error", lifespan="off", **LEAN)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 10.0
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def addresses_asked(driver: Any) -> set[str]:
    """Every address that the browser asked since this was last called."""
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}


def complaints(driver: Any) -> list[str]:
    """Warnings and errors of the console since this was last called."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


CAMPAIGNS = [
    {"name": "daily digest", "channels": ["push", "email"]},
    {"name": "spring sale", "category": 2, "channels": ["push", "email"], "urgency": 0.5},
    {"name": "abandoned cart", "kind": "triggered", "trigger": "cart", "channels": ["push"]},
]
Told = Counter[tuple[str, str, str]]


def live_for(it: Served, minutes: int, headers: dict[str, str], users: Sequence[str], seed: int = 1) -> Told:
    """Let users live for so many minutes up to the service's time: decisions, opens, clicks, some who opt out.

    Returns:
        What came of it by (policy's hash, campaign, what), in the words of the operations page, from the answers alone.
    """
    luck, told = random.Random(seed), Told()
    it.clock.now_ms -= minutes * 60_000
    for minute in range(minutes):
        it.clock.now_ms += 60_000
        if luck.random() < 0.3:
            event = {"user_id": luck.choice(users), "kind": "cart", "category": 3}
            it.ask("POST", "/v1/events", {"events": [event]}, headers=headers)
        body = {"requests": [{"user_id": luck.choice(users)} for _ in range(luck.randint(4, 10) + minute // 12)]}
        answers = it.ask("POST", "/v1/decide/batch", body, headers=headers).json()["answers"]
        outcomes = []
        for found in (entry["answer"] for entry in answers):
            tell(told, found)
            policy, campaign = found["policy_hash"], found["send"]
            for kind, p in (("opened", 0.2), ("clicked", 0.06), ("opt_out", 0.02)):
                if campaign and luck.random() < p:
                    outcomes.append({"decision_id": found["decision_id"], "kind": kind})
                    told[policy, campaign, kind] += 1
        it.ask("POST", "/v1/outcomes", {"outcomes": outcomes}, headers=headers)
    return told


def tell(told: Told, answer: dict[str, Any]) -> None:
    """Count an answer of the service."""
    policy, campaign = answer["policy_hash"], answer["send"] or ""
    told[policy, campaign, "send" if campaign else "no_send"] += 1
    told.update((policy, one["campaign"], f"suppressed: {one['reason']}") for one in answer["suppressed"])


def with_policies(it: Served) -> dict[str, str]:
    """Put a canary and a shadow beside the active policy; return the hash of each."""
    return {
        "canary": it.add(coin("shorter gaps, learned 10 March", 0.3), "canary", 0.2),
        "shadow": it.add(coin("network of 12 March", 0.4), "shadow"),
        "active": it.add(sender("evening push, learned 3 March"), "active"),
    }
