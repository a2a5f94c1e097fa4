"""The page of an offline evaluation: one file, its picture inside, readable on a phone and on paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from experiments.offline.diagnostics import Diagnosis
from experiments.offline.evaluation import OfflineEvaluation
from experiments.offline.quality.calibration import Calibration
from experiments.offline.replay import Replay
from experiments.offline.report_card import ReportCard
from experiments.report.page import Section, escape, image, paragraph, table
from experiments.report.page import page as whole_page


def page(
    evaluations: Sequence[OfflineEvaluation],
    picture: Path,
    asked: str,
    card: ReportCard | None = None,
    replays: Sequence[Replay] = (),
    propensities: Mapping[str, Calibration] = MappingProxyType({}),
) -> str:
    """Return HTML.

    Args:
        evaluations: of one log, at least one.
        picture: PNG that is put inside.
        asked: the command that made it.
        card: how the estimators did in the log's twin.
        replays: what agents that learn as they go would have earned.
        propensities: how those that were estimated came true, by action; empty: they were logged.
    """
    title = f"Offline evaluation{': ' + evaluations[0].log if evaluations[0].log else ''}"
    answers = [paragraph(each.in_words(), "refused" if each.is_refused else "answer") for each in evaluations]
    opening = "\n".join([*answers, image(picture, "estimates with their intervals")])
    sections = [_section(each, f"policy-{k}") for k, each in enumerate(evaluations)]
    if propensities:
        sections.insert(0, Section("Estimated propensities", _propensities(propensities), "propensities"))
    if card is not None:
        sections.append(Section("Report card", _card(card), "card"))
    if replays:
        words = "".join(paragraph(each.in_words()) for each in replays)
        sections.append(Section("Agents that learn as they go", words, "replays"))
    first = evaluations[0]
    told = (
        f"{first.diagnosis.rounds:,} rounds of {first.diagnosis.users:,} users; values are of {first.of_one}, "
        "intervals by user. Estimates by weights are right where the propensities are; the direct method is as right "
        "as its model."
    )
    sections.append(Section("What was run", f"<p><code>{escape(asked)}</code></p>{paragraph(told, 'faint')}", "run"))
    return whole_page(title, opening, sections)


def _section(each: OfflineEvaluation, name: str) -> Section:
    parts = [paragraph(warning, "warning") for warning in each.warnings]
    if each.naive is not None:
        parts.append(paragraph(each.naive.in_words()))
    if each.estimates:
        rows = [
            (
                e.title + ("" if e.dial is None else f", dial {e.dial:.3g}"), f"{e.interval.value:.5g}",
                f"{e.interval.low:.5g} to {e.interval.high:.5g}",
                f"{e.gain.value:+.4g} ({e.gain.low:+.4g} to {e.gain.high:+.4g})",
            )
            for e in each.estimates.values()
        ]  # fmt: skip
        parts.append(table(("estimator", "value", "interval", "over the log's policy"), rows))
    if each.refused and not each.is_refused:
        parts.append(table(("refused", "since"), list(each.refused.items())))
    if each.note:
        parts.append(paragraph(each.note, "faint"))
    if each.distribution is not None and (words := each.distribution.in_words()):
        parts.append(paragraph(words))
    return Section(each.policy, "\n".join([*parts, *_diagnosis(each.diagnosis)]), name)


def _propensities(found: Mapping[str, Calibration]) -> str:
    parts = []
    for action, each in found.items():
        rows = [
            (f"{k.mean_score:.3f}", f"{k.rate:.3f} ({k.low:.3f} to {k.high:.3f})", f"{k.n_rows:,}", "off" * k.is_off)
            for k in each.bins
        ]
        head = (f"{action}: estimated", "share that was taken", "rounds", "")
        parts += [paragraph(f"{action}: {each.verdict}"), table(head, rows)]
    return "\n".join(parts)


def _card(card: ReportCard) -> str:
    rows = [
        (
            mark.title, mark.policy, f"{mark.truth:.5g}", *mark.cells(),
        )
        for mark in card.marks
    ]  # fmt: skip
    head = ("estimator", "policy", "truth in the twin", "bias", "error (RMSE)", "coverage of 95 %")
    kinder = "It is kinder than the world: an estimator that fails here will fail there; one that does well may not."
    note = (
        f"The twin has the log's users, contexts, size and logging policy; its rewards are a model's. {kinder}"
        if card.unit == "round"
        else f"The twin is the ledger's scenario with as many users, their time and the logging policy. {kinder}"
    )
    return "\n".join([paragraph(card.in_words()), table(head, rows), paragraph(note, "faint")])


def _diagnosis(told: Diagnosis) -> list[str]:
    figures = [
        ("effective sample size", f"{told.effective:,.0f} of {told.rounds:,}"),
        ("mean weight", f"{told.mean_weight:.3f} ± {told.mean_weight_error:.3f}"),
        ("largest weight", f"{told.largest_weight:,.1f}"),
        ("share of the ten largest weights", f"{100 * told.share_of_few:.1f} %"),
        ("Pareto k of the tail", f"{told.tail:.2f}" if math.isfinite(told.tail) else "none: weights of a few values"),
        ("probability on what the log never tries", f"{100 * told.unsupported:.2f} %"),
    ]
    rows = [
        (
            each.action,
            f"{each.eligible:,}",
            f"{each.taken:,}",
            f"{100 * each.target_share:.1f} %",
            f"{each.effective:,.0f}",
        )
        for each in told.support
        if not each.segment
    ]
    head = ("action", "eligible", "taken", "by the policy", "effective")
    return [table(("weights", ""), figures), table(head, rows)]
