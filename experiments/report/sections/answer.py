"""The answer in one sentence, with its interval; where the interval holds 0, it says that it could not tell."""

from __future__ import annotations

import math

from experiments.report.page import escape
from experiments.report.reading import RunFolder
from experiments.report.words import is_clear, spread


def opening(run: RunFolder) -> str:
    """Return what stands between the heading and the first section: the question, and the answer."""
    question = run.summary.get("question") or run.config.get("question")
    parts = [f'<p class="faint">{escape(question)}</p>'] if question else []
    css = {1: "verdict-better", -1: "verdict-worse", 0: ""}[verdict(run)]
    parts.append(f'<p class="answer note {css}">{escape(run.summary.get("answer") or answer_in_words(run))}</p>')
    if run.summary.get("answer") and run.best:  # whatever a sentence leaves out, the interval stands beside it
        parts.append(f'<p class="faint">{escape(gain_in_words(run))}{escape(_of_whom(run))}</p>')
    return "\n".join(parts)


def verdict(run: RunFolder) -> int:
    """Return 1: the best contender is worth clearly more than the reference, -1: clearly less, 0: could not tell."""
    _, low, high = run.gain
    if not is_clear(low, high):
        return 0
    return 1 if low > 0 else -1


def gain_in_words(run: RunFolder) -> str:
    """Return the best contender's value over the reference, with its interval, and whether it tells anything."""
    told = "clear of 0" if verdict(run) else "which holds 0: this run could not tell them apart"
    return f"{run.best} over {run.reference}, EUR a user with its 95 % interval: {spread(*run.gain)}, {told}."


def answer_in_words(run: RunFolder) -> str:
    """Return the answer of the measures themselves."""
    if not run.best or math.isnan(run.gain[0]):
        return "There is no answer: the measures hold nobody's value against a reference."
    opens = {
        1: f"{run.best} is worth more than {run.reference}.",
        -1: f"Nothing is worth more than {run.reference}.",
        0: f"Could not tell {run.best} and {run.reference} apart.",
    }
    return f"{opens[verdict(run)]} {gain_in_words(run)}"


def _of_whom(run: RunFolder) -> str:
    """Return of which users the answer is, where it is not of all."""
    n, of = run.summary.get("told_by_users"), run.summary.get("n_users")
    if not n or n == of:
        return ""
    return (
        f" Told by the {n:,} users who had no say in which contender is best; the contenders' tables and pictures are "
        f"of all {of or 0:,}, other sections of users of their own."
    )
