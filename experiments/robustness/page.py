"""The page of a robustness study: the answer, every policy in every world, and what turns the conclusion round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from experiments.compare import Estimate
from experiments.report.charts import Row, Swing, interval_chart, swing_chart
from experiments.report.page import Mark, Picture, Section, escape, figures, page, paragraph, table
from experiments.report.words import is_clear, number, spread
from experiments.robustness.contestants import SILENCE
from experiments.robustness.matrix import Matrix
from experiments.robustness.sensitivity import ROOT, Sensitivity
from experiments.robustness.worlds import HOME

MOST_BARS = 14  # of a tornado; the table has all
BETTER, WORSE, UNTOLD = Mark("gain"), Mark("loss"), Mark("base")


def robustness_page(
    found: Matrix, turned: Sensitivity | None, asked: str, same: Sequence[str] = (), versions: str = ""
) -> str:
    """Return HTML.

    Args:
        found: every policy in every world.
        turned: how a conclusion depends on the parameters; None: not asked for.
        asked: the command that made it.
        same: worlds that were left out, since they change nothing at home.
        versions: of what made it, for the last section.
    """
    opening = [paragraph(found.answer(), "answer")]
    if len(found.policies) > 1:
        opening += [paragraph(found.in_words(policy)) for policy in found.policies]
    opening.append(paragraph(_about(found), "faint"))
    sections = [
        Section("Every policy in every world", _matrix(found), "matrix"),
        Section("World by world", figures(world_charts(found)), "charts"),
        Section("The tenth of users who lose most", _worst(found), "worst"),
    ]
    if turned is not None:
        sections.append(Section("What the conclusion depends on", _sensitivity(turned), "sensitivity"))
    sections.append(Section("The worlds", _worlds(found, same), "worlds"))
    run = f"<pre>{escape(asked)}</pre>" + (paragraph(versions, "faint") if versions else "")
    sections.append(Section("What was run", run, "run"))
    title = f"How well do policies of {found.worlds[0].scenario.name} bear another world?"
    return page(title, "\n".join(opening), sections, over="Robustness")


def world_charts(found: Matrix) -> list[Picture]:
    """Return a picture a policy: its gain over silence in each world, with intervals."""
    pictures = []
    for policy in found.policies:
        rows = []
        for world in found.worlds:
            gain = found.cells[world.name, policy].over_silence
            assert gain is not None, "a policy is compared with silence"
            rows.append(Row(world.name, gain.mean, gain.low, gain.high, _mark(gain)))
        pictures.append(
            interval_chart(
                policy,
                rows,
                x_label="EUR a user over silence, 95 %",
                levels={"silence": 0.0},
            )
        )
    return pictures


def tornado(turned: Sensitivity) -> Picture:
    """Return the picture of what moves a conclusion most."""
    last = Counter(turn.parameter.path.rpartition(".")[2] for turn in turned.turns)
    swings = []
    for turn in turned.turns[:MOST_BARS]:
        path = turn.parameter.path.removeprefix(f"{ROOT}.")
        name = path.rpartition(".")[2]
        swings.append(Swing(name if last[name] == 1 else path, turn.less.mean, turn.more.mean))
    return swing_chart(
        f"{turned.policy} over {turned.reference}",
        swings,
        turned.home.mean,
        x_label="EUR a user",
        caption=f"Each parameter {100 * turned.share:g} % less and more, all others as they stand; the "
        f"{len(swings)} of {len(turned.turns)} that matter most. Whether a turn is clear, the table says.",
    )


def _matrix(found: Matrix) -> str:
    rows, marked = [], []
    for world in found.worlds:
        cells = [found.cells[world.name, policy] for policy in found.policies]
        gains = [_told(cell.over_silence) for cell in cells]
        silent = number(found.cells[world.name, SILENCE].value.mean, 2)
        rows.append((world.name, silent, *gains, found.winner(world.name)))
        marked.append("best" if world.name == HOME else "")
    head = ("world", "silence, EUR a user", *(f"{policy} over silence" for policy in found.policies), "worth most")
    parts = [table(head, rows, label="gain over silence by world", row_css=marked)]
    others = [policy for policy in found.policies if policy != found.reference]
    if found.reference != SILENCE and others:
        rows = [
            (world.name, *(_told(found.cells[world.name, policy].over_reference) for policy in others))
            for world in found.worlds
        ]
        head = ("world", *(f"{policy} over {found.reference}" for policy in others))
        parts += [f"<h3>Over {escape(found.reference)}</h3>", table(head, rows, row_css=marked)]
    rows = [
        (
            world.name,
            *(number(found.cells[world.name, policy].sends_per_user_week, 2) for policy in found.policies),
            *(number(100 * found.cells[world.name, policy].opt_outs, 1) for policy in (SILENCE, *found.policies)),
        )
        for world in found.worlds
    ]
    head = (
        "world",
        *(f"{policy}: sends a week" for policy in found.policies),
        *(f"{policy}: opt-outs per 100" for policy in (SILENCE, *found.policies)),
    )
    parts += ["<h3>Volume and opt-outs</h3>", table(head, rows, row_css=marked)]
    return "\n".join(parts)


def _worst(found: Matrix) -> str:
    rows = [
        (world.name, *(_told(found.cells[world.name, policy].worst_tenth) for policy in found.policies))
        for world in found.worlds
    ]
    told = (
        "Of each user, the same life is lived with messages and without; here is the mean gain of the tenth of users "
        "who gain least by them, EUR a user. Luck is part of it: a click that leads one day later to an order that "
        "would have come anyway counts here too."
    )
    return paragraph(told) + table(("world", *found.policies), rows, label="worst tenth by world")


def _sensitivity(turned: Sensitivity) -> str:
    rows, marked = [], []
    for turn in turned.turns:
        p = turn.parameter
        name = p.path.removeprefix(f"{ROOT}.") + (" (as far as its range goes)" if p.is_cut else "")
        verdicts = [turned.verdict(end) for end in (turn.less, turn.more)]
        changed = [f"{way}: {verdict}" for way, verdict in zip(("less", "more"), verdicts, strict=True)]
        same = verdicts[0] if verdicts[0] == verdicts[1] else "; ".join(changed)
        rows.append(
            (name, f"{p.less:.4g}", f"{p.value:.4g}", f"{p.more:.4g}", _told(turn.less), _told(turn.more), same)
        )
        marked.append("best" if "turns round" in verdicts else "")
    head = ("parameter", "less", "as it is", "more", "gain with less", "gain with more", "the conclusion")
    left = ", ".join(path.removeprefix(f"{ROOT}.") for path in turned.unmoved)
    about = (
        "Intercepts (names that end in _logit) move by the odds that they stand for. One parameter at a time: two that "
        "move together may do what neither does alone."
    )
    if left:
        about += f" Left out, since they are 0 or several numbers: {left}."
    return "\n".join(
        [
            paragraph(turned.in_words()),
            figures([tornado(turned)]),
            table(head, rows, label="the conclusion by parameter", row_css=marked),
            paragraph(about, "faint"),
        ]
    )


def _worlds(found: Matrix, same: Sequence[str]) -> str:
    rows = [(world.name, world.sentence) for world in found.worlds]
    told = table(("world", "how it differs from home"), rows, words=True)
    if same:
        told += paragraph(f"Left out, since they change nothing at home: {', '.join(same)}.", "faint")
    return told


def _about(found: Matrix) -> str:
    return (
        f"{found.n_users:,} users in each world, {found.n_days} days, seed {found.seed}; whoever decides has the same "
        "luck. Values are EUR a user with orders at their expectation; intervals are of 95 % over users, and know "
        "nothing of how far these worlds are from the true one."
    )


def _mark(gain: Estimate) -> Mark:
    if not is_clear(gain.low, gain.high):
        return UNTOLD
    return BETTER if gain.mean > 0 else WORSE


def _told(estimate: Estimate | None) -> str:
    return spread(None, None, None) if estimate is None else spread(estimate.mean, estimate.low, estimate.high)
