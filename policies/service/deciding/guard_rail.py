"""When a policy is taken back by itself: its opt-outs a send are clearly more than those of the policy before it.

Rates are watched at every look, so their bounds hold at all times together. For a Bernoulli rate p the mixture of
likelihood ratios over a Beta(1/2, 1/2) prior,

    M_n(p) = B(1/2 + s, 1/2 + n - s) / (B(1/2, 1/2) p^s (1 - p)^(n - s)),    s events in n sends

is a martingale that begins at 1 when p is the truth; by Ville's inequality it exceeds 1 / level at any time with at
most probability `level`, so the rates at which it does not are a confidence sequence. It needs the two counts and
nothing else: it goes on over restarts and replicas.

It takes sends for exchangeable: of users who differ, rates of a whole policy are meant. An opt-out that has not come
yet counts as none, so a young policy looks better than it is and is taken back later, never wrongly.

Source: Robbins, Statistical methods related to the law of the iterated logarithm (Annals of Mathematical Statistics
1970); Howard, Ramdas, McAuliffe & Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences (Annals of
Statistics 2021), section 3; Ville (1939).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PRIOR = 0.5
N_HALVINGS = 60


@dataclass(frozen=True)
class Arm:
    """What is counted of one policy.

    Attributes:
        n_sends: messages sent by its decisions.
        n_opt_outs: channels withdrawn through them.
    """

    n_sends: int
    n_opt_outs: int

    @property
    def rate(self) -> float:
        """Opt-outs a send; NaN before the first."""
        return self.n_opt_outs / self.n_sends if self.n_sends else math.nan


@dataclass(frozen=True)
class Verdict:
    """What the guard rail says.

    Attributes:
        is_tripped: the harm is clear.
        words: where it stands, in a sentence.
    """

    is_tripped: bool
    words: str


def log_martingale(p: float, n_events: int, n: int) -> float:
    """Return ln M_n(p), for p in (0, 1)."""
    a, b = PRIOR + n_events, PRIOR + n - n_events
    prior = 2.0 * math.lgamma(PRIOR) - math.lgamma(2.0 * PRIOR)
    posterior = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return posterior - prior - n_events * math.log(p) - (n - n_events) * math.log1p(-p)


def rate_bounds(n_events: int, n: int, level: float) -> tuple[float, float]:
    """Return bounds of a rate that hold at all times together with probability 1 - level.

    Args:
        n_events: s, 0 to n.
        n: of Bernoulli trials.
    """
    if n == 0:
        return 0.0, 1.0
    bound = -math.log(level)
    middle = n_events / n

    def edge(inside: float, outside: float) -> float:
        """Return where M crosses the bound between the observed rate, where it is below, and an end, where above."""
        for _ in range(N_HALVINGS):
            at = 0.5 * (inside + outside)
            if at in (inside, outside):
                break
            if log_martingale(at, n_events, n) < bound:
                inside = at
            else:
                outside = at
        return outside

    low = edge(middle, 0.0) if n_events else 0.0
    high = edge(middle, 1.0) if n_events < n else 1.0
    return low, high


def watch(new: Arm, before: Arm, *, margin: float, level: float) -> Verdict:
    """Return whether a policy's opt-outs a send are clearly more than those of the policy before it.

    Each arm has bounds of level / 2, and the harm is clear when the new arm's lower one is above the other's upper one
    by more than the margin; with probability 1 - level that is never said of a policy of which it is not true.

    Args:
        margin: the harm that is just not borne any more, opt-outs a send.
    """
    low, _ = rate_bounds(new.n_opt_outs, new.n_sends, level / 2.0)
    _, high = rate_bounds(before.n_opt_outs, before.n_sends, level / 2.0)
    is_tripped = low > high + margin
    words = (
        f"opt-outs a send {_shown(new)}, at least {low:.3g}; before {_shown(before)}, at most {high:.3g}; "
        f"margin {margin:g}: {'clearly more' if is_tripped else 'not clearly more'} (at any time, level {level:g})"
    )
    return Verdict(is_tripped, words)


def _shown(arm: Arm) -> str:
    return f"{arm.n_opt_outs:,} of {arm.n_sends:,}"
