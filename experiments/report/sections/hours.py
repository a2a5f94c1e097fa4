"""When messages go out and are opened, by the user's local hour."""

from __future__ import annotations

from experiments.report.charts import heat_map
from experiments.report.page import Section, figures, missing
from experiments.report.reading import RunFolder, known

NIGHT = (22, 23, *range(8))


def by_hour(run: RunFolder) -> Section:
    """Return heat maps of sends and opens, one row a policy."""
    title, name = "Hours of the day", "hours"
    if not run.measures["hours"]:
        return Section(title, missing("Hours were not watched in this run."), name)
    pictures = []
    for what, css in (("sends", "s0"), ("opens", "s2")):
        rows = {}
        for policy in run.policies:
            counts = {int(row["local_hour"]): known(row, what) for row in run.of("hours", policy)}
            total = sum(counts.values())
            if total:
                rows[policy] = [counts.get(hour, 0.0) / total for hour in range(24)]
        if rows:
            pictures.append(
                heat_map(
                    what.capitalize(),
                    rows,
                    [str(hour) for hour in range(24)],
                    css=css,
                    x_label="local hour",
                    night=NIGHT,
                    caption=f"The stronger, the more of a policy's own {what} fall into the hour, each by its own "
                    "greatest; underlined: 22 to 8.",
                )
            )
    if not pictures:
        return Section(title, missing("Nobody sent anything."), name)
    return Section(title, figures(pictures), name)
