"""The page of an offline evaluation: one file, its picture inside, readable on a phone and on paper."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from experiments.offline.diagnostics import Diagnosis
from experiments.offline.evaluation import OfflineEvaluation
from experiments.offline.quality.calibration import Calibration
from experiments.offline.replay import Replay
from experiments.offline.report_card import ReportCard

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
.wide { overflow-x: auto; }
th { text-align: left; color: #767676; font-weight: 500; border-bottom: 1px solid #bbb; }
td, th { padding: .3rem .7rem .3rem 0; } td + td, th + th { text-align: right; }
td { border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums; }
.refused, .warning { border-left: 4px solid #D55E00; padding: .4rem .9rem; background: #fdf3ec; margin: .6rem 0; }
.answer { font-size: 1.08rem; } small, .faint { color: #767676; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } table { break-inside: avoid; } }
"""


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
    data = base64.b64encode(picture.read_bytes()).decode()
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<title>{_(title)}</title><style>{STYLE}</style>",
        f"<h1>{_(title)}</h1>",
        *(f'<p class="{"refused" if each.is_refused else "answer"}">{_(each.in_words())}</p>' for each in evaluations),
        f'<img alt="estimates with their intervals" src="data:image/png;base64,{data}">',
    ]
    if propensities:
        parts += _propensities(propensities)
    for each in evaluations:
        parts += _section(each)
    if card is not None:
        parts += _card(card)
    if replays:
        parts += ["<h2>Agents that learn as they go</h2>", *(f"<p>{_(each.in_words())}</p>" for each in replays)]
    first = evaluations[0]
    parts.append(
        f"<h2>What was run</h2><p><code>{_(asked)}</code></p><p class=faint>{first.diagnosis.rounds:,} rounds of "
        f"{first.diagnosis.users:,} users; values are of {first.of_one}, intervals by user. Estimates by "
        "weights are right where the propensities are; the direct method is as right as its model.</p></html>"
    )
    return "\n".join(parts) + "\n"


def _section(each: OfflineEvaluation) -> list[str]:
    parts = [f"<h2>{_(each.policy)}</h2>"]
    parts += [f'<p class="warning">{_(warning)}</p>' for warning in each.warnings]
    if each.naive is not None:
        parts.append(f"<p>{_(each.naive.in_words())}</p>")
    if each.estimates:
        rows = [
            (
                e.title + ("" if e.dial is None else f", dial {e.dial:.3g}"), f"{e.interval.value:.5g}",
                f"{e.interval.low:.5g} to {e.interval.high:.5g}",
                f"{e.gain.value:+.4g} ({e.gain.low:+.4g} to {e.gain.high:+.4g})",
            )
            for e in each.estimates.values()
        ]  # fmt: skip
        parts.append(_table(("estimator", "value", "interval", "over the log's policy"), rows))
    if each.refused and not each.is_refused:
        parts.append(_table(("refused", "since"), list(each.refused.items())))
    if each.note:
        parts.append(f"<p class=faint>{_(each.note)}</p>")
    if each.distribution is not None and (words := each.distribution.in_words()):
        parts.append(f"<p>{_(words)}</p>")
    return [*parts, *_diagnosis(each.diagnosis)]


def _propensities(found: Mapping[str, Calibration]) -> list[str]:
    parts = ["<h2>Estimated propensities</h2>"]
    for action, each in found.items():
        rows = [
            (f"{k.mean_score:.3f}", f"{k.rate:.3f} ({k.low:.3f} to {k.high:.3f})", f"{k.n_rows:,}", "off" * k.is_off)
            for k in each.bins
        ]
        head = (f"{action}: estimated", "share that was taken", "rounds", "")
        parts += [f"<p>{_(action)}: {_(each.verdict)}</p>", _table(head, rows)]
    return parts


def _card(card: ReportCard) -> list[str]:
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
    return ["<h2>Report card</h2>", f"<p>{_(card.in_words())}</p>", _table(head, rows), f"<p class=faint>{_(note)}</p>"]


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
    return [_table(("weights", ""), figures), _table(head, rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _(text: str) -> str:
    return html.escape(text)
