"""The picture of the operations page in the docs: `python -m tests.policies.service.picture docs/service.png`."""

from __future__ import annotations

import sys
import time

from tests.policies.service.browser import CAMPAIGNS, browser, live_for, on_a_port, sized, with_policies
from tests.policies.service.serving import CAP, Served, sender

USERS = [f"user {k}" for k in range(3_000)]


def main() -> None:
    settings = {"campaigns": CAMPAIGNS, "constraints": {"gap_hours": 1, "caps": [CAP]}}
    it = Served(sender("evening push, learned 3 March"), settings)
    with_policies(it)
    it.clock.now_ms = time.time_ns() // 1_000_000
    live_for(it, 180, {}, USERS)
    it.caretaker.look()
    with on_a_port(it) as url, browser() as driver:
        sized(driver, 1200)
        driver.get(f"{url}/ops")
        time.sleep(1.0)
        sized(driver, 1200, height=driver.execute_script("return document.documentElement.scrollHeight"))
        driver.save_screenshot(sys.argv[1])
    it.service.close()


if __name__ == "__main__":
    main()
