"""A real browser for tests of pages: Chromium without a window, that tells its console and what it asks for."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DRIVER, BROWSER = Path("/usr/bin/chromedriver"), Path("/usr/bin/chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = (390, 844)
DESK = (1200, 900)


@contextmanager
def browser() -> Iterator[Any]:
    """Yield a Selenium driver of Chromium with a profile of its own; skip the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs Selenium (extra dev)")
    if not DRIVER.exists() or not BROWSER.exists():
        pytest.skip(f"needs {BROWSER} and {DRIVER}: apt-get install chromium chromium-driver")
    profile = tempfile.mkdtemp(prefix="kairos-browser-")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    try:
        driver.set_page_load_timeout(20)
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def console_errors(driver: Any) -> list[str]:
    """Return what the console has said since last asked, warnings and worse."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def asked_for(driver: Any) -> list[str]:
    """Return the addresses that were asked for since last asked, besides those within the page itself."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if not address.startswith(("data:", "blob:", "chrome:", "about:")):
                found.append(address)
    return found


def at_width(driver: Any, size: tuple[int, int], *, dark: bool = False) -> None:
    """Let the page be so wide and high, as a phone would show it, in light or dark."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def sideways(driver: Any) -> int:
    """Return by how many pixels the page is wider than its window."""
    script = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    return int(driver.execute_script(script))
