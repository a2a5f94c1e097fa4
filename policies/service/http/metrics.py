"""Counters and times as Prometheus reads them: text format 0.0.4, written by hand because the hot path counts on it.

An event loop has one thread, so counting takes no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping

TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0)


class Timed:
    """How long a route's answers took: how many in each interval of BOUNDS_S, and all together."""

    __slots__ = ("seconds", "times")

    def __init__(self) -> None:
        self.times = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0


class Metrics:
    """What is counted since the process began."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)  # by route and status
        self.decisions: defaultdict[tuple[str, str], int] = defaultdict(int)  # by role and send or no_send
        self.faults: Counter[str] = Counter()  # of the store, by reason
        self._timed: defaultdict[str, Timed] = defaultdict(Timed)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests[route, status] += 1
        timed = self._timed[route]
        timed.times[bisect_left(BOUNDS_S, seconds)] += 1
        timed.seconds += seconds

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return everything as text.

        Args:
            gauges: name and (meaning, value) of what is measured now and not counted.
        """
        lines = _head("kairos_requests_total", "counter", "requests by route and status")
        lines += [
            f'kairos_requests_total{{route="{_escaped(route)}",status="{status}"}} {n}'
            for (route, status), n in sorted(self.requests.items())
        ]
        lines += _head("kairos_decisions_total", "counter", "decisions by who decided and what came of it")
        lines += [
            f'kairos_decisions_total{{role="{_escaped(role)}",what="{what}"}} {n}'
            for (role, what), n in sorted(self.decisions.items())
        ]
        lines += _head("kairos_store_faults_total", "counter", "times that the state could not be read or written")
        lines += [f'kairos_store_faults_total{{reason="{_escaped(r)}"}} {n}' for r, n in sorted(self.faults.items())]
        lines += _head("kairos_request_seconds", "histogram", "time from a whole request to its answer")
        for route, timed in sorted(self._timed.items()):
            label, reached = f'route="{_escaped(route)}"', 0
            for bound, n in zip((*map(str, BOUNDS_S), "+Inf"), timed.times, strict=True):
                reached += n
                lines.append(f'kairos_request_seconds_bucket{{{label},le="{bound}"}} {reached}')
            lines.append(f"kairos_request_seconds_sum{{{label}}} {timed.seconds:.9g}")
            lines.append(f"kairos_request_seconds_count{{{label}}} {reached}")
        for name, (meaning, value) in gauges.items():
            lines += [*_head(name, "gauge", meaning), f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
