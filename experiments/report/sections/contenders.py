"""Value against opt-outs, and the table of all who took part."""

from __future__ import annotations

import math

from experiments.evaluation.outcomes import RETENTION_DAYS
from experiments.report.charts import Row, Spot, front_chart
from experiments.report.page import Section, figures, missing, paragraph, table
from experiments.report.reading import OPT_OUTS, VALUE, RunFolder, difference, interval, known
from experiments.report.words import NO_BREAK, digits_for, is_clear, number, share

WORDS = (
    "In bold: most value of all who could be let out. Left: gone for good before the end. Retained: with a session in "
    f"the last {RETENTION_DAYS} days. Satisfaction: mean answer to surveys, from 0 to 1."
)
# outcome: heading, how many users a figure is of, digits; None: a share in per cent
_COLUMNS = {
    "sends": ("sends a user", 1, 2),
    "opens": ("opens a user", 1, 2),
    "sessions": ("sessions a user", 1, 1),
    "opt_outs": ("opt-outs of 100", 100, 2),
    "churns": ("left", 1, None),
    "retained": ("retained", 1, None),
    "satisfaction": ("satisfaction", 1, 3),
}


def value_against_opt_outs(run: RunFolder) -> Section:
    """Return the picture of what value costs in permissions."""
    title, name = "Value against opt-outs", "front"
    spots = [
        Spot(policy, _row(policy, run.outcome(policy, OPT_OUTS), 100), _row(policy, run.outcome(policy, VALUE), 1))
        for policy in run.policies
        if not _is_oracle(run, policy)
    ]
    left_out = [policy for policy in run.policies if _is_oracle(run, policy)]
    spots = [spot for spot in spots if math.isfinite(spot.x.value) and math.isfinite(spot.y.value)]
    if not spots:
        return Section(title, missing("The outcomes were not measured, so there is nothing to weigh."), name)
    picture = front_chart(
        "What value costs in permissions",
        spots,
        run.marks,
        x_label="opt-outs of 100 users",
        y_label="value, EUR a user",
        caption="Up and to the left is better. The dashed front joins those whom nobody beats in both; bars are 95 % "
        "intervals of each mean, over users. Differences between policies are sharper than these bars show, since all "
        "met the same users with the same luck: see the table."
        + (f" Left out, since it sees the hidden state of users: {', '.join(left_out)}." if left_out else ""),
    )
    return Section(title, figures([picture]), name)


def everybody(run: RunFolder) -> Section:
    """Return the table of all contenders."""
    title, name = "Who took part", "contenders"
    if not run.measures["outcomes"]:
        return Section(title, missing("The outcomes were not measured."), name)
    present = [outcome for outcome in _COLUMNS if any(run.outcome(policy, outcome) for policy in run.policies)]
    # One number of digits for all values, so that they can be compared down the column.
    gains = [known(run.outcome(policy, VALUE), "difference") for policy in run.policies]
    digits = max(digits_for(*gains), 3)
    head = ["policy", "kind", "value, EUR a user", f"over {run.reference or 'the reference'} (95{NO_BREAK}%)"]
    head += [_COLUMNS[outcome][0] for outcome in present]
    rows = []
    for policy in run.policies:
        value = run.outcome(policy, VALUE)
        cells = [policy, str(value.get("kind") or ""), number(known(value, "mean"), digits)]
        cells.append("reference" if policy == run.reference else _gain(value, digits))
        cells += [_cell(run, policy, outcome) for outcome in present]
        rows.append(cells)
    values = {policy: known(run.outcome(policy, VALUE), "mean") for policy in run.policies}
    fit = [policy for policy in run.policies if not _is_oracle(run, policy) and math.isfinite(values[policy])]
    most = max(fit, key=values.__getitem__, default="")
    css = ["best" if policy == most else "" for policy in run.policies]
    told = paragraph(WORDS, "faint")
    return Section(title, table(head, rows, label=title, row_css=css) + told, name)


def _is_oracle(run: RunFolder, policy: str) -> bool:
    """Return whether a contender sees the hidden state of users, and so could not be let out."""
    return run.outcome(policy, VALUE).get("kind") == "oracle"


def _gain(row: dict[str, object], digits: int) -> str:
    mean, low, high = difference(row)
    text = f"{number(mean, digits, signed=True)} ({number(low, digits)} to {number(high, digits)})"
    return text if is_clear(low, high) or math.isnan(mean) else f"{text}, not clear of 0"


def _cell(run: RunFolder, policy: str, outcome: str) -> str:
    _, of, digits = _COLUMNS[outcome]
    mean = known(run.outcome(policy, outcome), "mean")
    return share(mean) if digits is None else number(of * mean, digits)


def _row(policy: str, row: dict[str, object], of: float) -> Row:
    mean, low, high = interval(row)
    return Row(policy, of * mean, of * low, of * high)
