"""Pictures against what was put in: ticks, places, fronts, words for those who do not see them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.report.charts import (
    Line,
    Row,
    Spot,
    Swing,
    front,
    front_chart,
    heat_map,
    interval_chart,
    line_chart,
    marks_of,
    swing_chart,
)
from experiments.report.colours import DARK_PAPER, LIGHT_PAPER, ON_DARK, ON_LIGHT, contrast
from experiments.report.svg import Scale, standalone, tick_text, ticks, widened
from experiments.report.words import digits_for, duration, number, share, spread


def spot(name: str, x: float, y: float) -> Spot:
    return Spot(name, Row(name, x, x, x), Row(name, y, y, y))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_within_and_evenly_apart(low: float, span: float) -> None:
    found = ticks(low, low + span)
    step = found[1] - found[0] if len(found) > 1 else span
    assert 1 <= len(found) <= 7
    assert low - 1e-6 * span <= found[0]
    assert found[-1] <= low + span + 1e-6 * span
    lead = step / 10 ** math.floor(math.log10(step) + 1e-9)
    if len(found) > 1:
        assert min(abs(lead - each) for each in (1, 2, 2.5, 5, 10)) < 1e-3 or abs(low) / step > 1e6


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.25, 0.25, "0.25"), (3.0, 1.0, "3"), (-0.1, 0.1, "\N{MINUS SIGN}0.1"), (0.0, 2000.0, "0"), (12000, 2000, "12k"),
     (-1e-17, 0.5, "0.0"), (2.5, 2.5, "2.5")],
)  # fmt: skip
def test_ticks_are_written_with_the_digits_of_their_step(value: float, step: float, text: str) -> None:
    assert tick_text(value, step) == text


def test_scales_put_ends_at_ends_and_bounds_have_room() -> None:
    scale = Scale(2.0, 4.0, 100.0, 0.0)
    assert (scale(2.0), scale(3.0), scale(4.0)) == (100.0, 50.0, 0.0)
    low, high = widened([1.0, 2.0, math.nan])
    assert low < 1.0 < 2.0 < high
    assert widened([math.nan]) == (0.0, 1.0)
    assert widened([0.0, 5.0], with_zero=True)[0] == 0.0


def test_the_front_is_whom_nobody_beats_in_both() -> None:
    spots = [spot("worse", 2, 1), spot("cheap", 1, 1), spot("dear", 5, 3), spot("beaten", 6, 2), spot("same x", 1, 0.5)]
    assert [each.name for each in front(spots)] == ["cheap", "dear"]
    picture = front_chart("T", spots, marks_of([s.name for s in spots]), x_label="x", y_label="y")
    assert "On the front: cheap, dear." in picture.svg
    assert picture.svg.count("<circle") == 5


def test_lines_leave_out_what_is_not_known_and_say_where_they_end() -> None:
    line = Line("a", [0, 1, 2, 3], [1.0, 2.0, math.nan, math.nan])
    picture = line_chart(
        "T", [line], marks_of(["a"]), x_label="day", y_label="EUR", levels={"best": 4.0, "no": math.nan}
    )
    assert "a ends at 2.000" in picture.svg
    assert "nan" not in picture.svg.lower().replace("nano", "")
    assert ">best<" in picture.svg
    assert ">no<" not in picture.svg
    [path] = re.findall(r'<path d="M([^"]+)" class="line', picture.svg)
    assert len(path.split("L")) == 2


def test_a_heat_map_is_darkest_where_there_is_most() -> None:
    picture = heat_map("Sends", {"a": [0.1, 0.6, 0.3]}, ["0", "1", "2"], night=(0,))
    shades = [float(each) for each in re.findall(r'fill-opacity="([\d.]+)"', picture.svg)]
    assert shades == pytest.approx([0.1 / 0.6, 0.3 / 0.6], abs=1e-3)  # the darkest needs no opacity
    assert "a: most at 1, 60.0 %" in picture.svg
    assert picture.svg.count('class="night"') == 1


def test_intervals_are_told_and_drawn() -> None:
    rows = [Row("x < y & z", 1.0, 0.5, 1.5), Row("unknown", math.nan, math.nan, math.nan)]
    picture = interval_chart("T", rows, x_label="EUR", levels={"0": 0.0}, band=(0.2, 0.4))
    assert "x &lt; y &amp; z: 1.00 (0.50 to 1.50)" in picture.svg
    assert picture.svg.count("<circle") == 1
    assert 'class="band base"' in picture.svg


def test_a_tornado_has_the_widest_first_and_marks_what_turns_round() -> None:
    picture = swing_chart("T", [Swing("small", 0.9, 1.1), Swing("large", -0.5, 2.0)], 1.0, x_label="EUR")
    assert picture.svg.index(">large<") < picture.svg.index(">small<")
    assert picture.svg.count("cell loss") == 1


def test_series_are_told_apart_by_more_than_colour_and_stand_out_on_both_papers() -> None:
    marks = list(marks_of([str(k) for k in range(12)]).values())
    assert len({(mark.css, mark.dashes) for mark in marks}) == 12
    assert [mark.number for mark in marks] == list(range(1, 13))
    for shades, paper in ((ON_LIGHT, LIGHT_PAPER), (ON_DARK, DARK_PAPER)):
        assert min(contrast(shade, paper) for shade in shades) >= 3.0
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21.0)


def test_a_picture_alone_brings_its_colours() -> None:
    alone = standalone(heat_map("Sends", {"a": [0.5, 0.5]}, ["0", "1"]).svg)
    assert alone.startswith("<svg viewBox=")
    assert "prefers-color-scheme: dark" in alone
    assert alone.rstrip().endswith("</svg>")


def test_figures_in_words() -> None:
    assert number(-0.0004, 2) == "0.00"
    assert number(-1234.5, 1) == "\N{MINUS SIGN}1,234.5"
    assert number(0.0, 2, signed=True) == "0.00"
    assert number(None) == number(math.nan) == "\N{EN DASH}"
    assert digits_for(0.012, 0.3) == 2
    assert digits_for(None, 0.0) == 2
    assert spread(0.123, 0.1, 0.15) == "+0.123 (0.100 to 0.150)"
    assert spread(0.123, None, None) == "+0.12"
    assert share(0.125) == "12.5\N{NO-BREAK SPACE}%"
    assert [duration(s) for s in (4.25, 200, 7500)] == ["4.2 s", "3 min 20 s", "2 h 05 min"]
