"""Tables by a mapping: every kind of column, and every fault named with its row and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.faults import ConfigError
from experiments.offline.logs.faults import LogError
from experiments.offline.logs.mapping import LogMapping, load_mapping, mapping_schema
from experiments.offline.logs.tables import left_out, read_log, read_parts

TABLE: dict[str, Any] = {
    "who": ["anna", "ben", "anna", "cleo"],
    "when": ["2026-01-01 08:00:00", "2026-01-01 09:00:00", "2026-01-02 08:00:00", "2026-01-01 00:00:00"],
    "arm": ["push", "none", "email", "none"],
    "could": ["none,push", "none", "none,push,email", "none,email"],
    "p": [0.5, 1.0, 0.25, 0.5],
    "spent": [1.5, 0.0, 0.0, 2.0],
    "age": [30, 41, 30, 22],
    "country": ["de", "at", "de", "ch"],
}
MAPPING = """
kind: log-mapping
action: {column: arm, names: [none, push, email]}
reward: spent
propensity: p
eligible: {kind: list, column: could}
user: who
time: when
features: [age, {column: country, kind: category}]
segments: [country]
"""


@pytest.fixture
def mapping(tmp_path: Path) -> LogMapping:
    (tmp_path / "log.yaml").write_text(MAPPING, encoding="utf-8")
    return load_mapping(tmp_path / "log.yaml")


def changed(**columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(TABLE | columns)


def test_every_kind_of_column(mapping: LogMapping, tmp_path: Path) -> None:
    """The same log from a data frame of three libraries, from Parquet and from CSV."""
    frame = pl.DataFrame(TABLE)
    frame.write_parquet(tmp_path / "log.parquet")
    frame.write_csv(tmp_path / "log.csv")
    (tmp_path / "parts").mkdir()
    frame[:2].write_parquet(tmp_path / "parts" / "a.parquet")
    frame[2:].write_parquet(tmp_path / "parts" / "b.parquet")
    sources = (
        frame,
        frame.to_arrow(),
        pd.DataFrame(TABLE),
        tmp_path / "log.parquet",
        tmp_path / "log.csv",
        tmp_path / "parts",
    )
    for source in sources:
        rounds = read_log(source, mapping)
        assert rounds.actions.tolist() == [1, 0, 2, 0]
        assert rounds.rewards.tolist() == [1.5, 0.0, 0.0, 2.0]
        assert rounds.propensities is not None
        assert rounds.propensities.tolist() == [0.5, 1.0, 0.25, 0.5]
        assert rounds.eligibility.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 1]]
        assert rounds.features == ("age", "country = at", "country = ch", "country = de")
        assert rounds.context is not None
        assert rounds.context.tolist() == [[30, 0, 0, 1], [41, 1, 0, 0], [30, 0, 0, 1], [22, 0, 1, 0]]
        assert rounds.n_clusters == 3
        assert rounds.clusters is not None
        assert rounds.clusters[0] == rounds.clusters[2]
        assert rounds.hours is not None
        np.testing.assert_allclose(np.diff(rounds.hours), [1.0, 23.0, -32.0])
        assert rounds.segments is not None
        assert rounds.segments["country"].tolist() == ["de", "at", "de", "ch"]


def test_parts_are_the_whole(mapping: LogMapping) -> None:
    """Categories and users are the same in every part, though no part has all of them."""
    whole, parts = read_log(changed(), mapping), list(read_parts(changed(), mapping, rows=3))
    assert [len(part) for part in parts] == [3, 1]
    for name in ("actions", "rewards", "context", "users", "hours", "eligible"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    assert {part.features for part in parts} == {whole.features}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"spent": ["1.5", "0", "free", None]},
            "row 2: spent: expected a number, got 'free'\nrow 3: spent: .* got nothing",
        ),
        (
            {"arm": ["push", "none", "sms", None]},
            "row 2: arm: expected one of none, push, email, got 'sms'\nrow 3: arm",
        ),
        (
            {"arm": ["email", "none", "email", "none"]},
            r"row 0: arm .action.: expected one that was elig.*'email'",
        ),
        ({"could": ["none,push", "none", "none,push,fax", "none,email"]}, "row 2: could: expected actions of the log"),
        ({"p": [0.5, 1.0, 0.25, -0.5]}, r"row 3: p .propensity.: expected above 0 and at most 1, got -0\.5"),
        ({"who": ["anna", None, "anna", "cleo"]}, "row 1: who: expected a user, got nothing"),
        (
            {"when": ["2026-01-03 08:00:00", "x", *TABLE["when"][2:]]},
            "row 1: when: expected a date and time .*, got 'x'",
        ),
        (
            {"when": ["2026-01-03 08:00:00", *TABLE["when"][1:]]},
            r"row 2: when .hours.: expected not before the same",
        ),
        ({"country": ["de", "at", None, "ch"]}, "row 2: country: expected one of at, ch, de, got nothing"),
        ({"age": [30, None, 30, 22]}, "row 1: age: expected a number, got nothing"),
        ({"age": [[30], [41], [30], [22]]}, r"age: expected numbers, got List\(Int64\)"),
        ({"when": [True, True, False, True]}, "when: expected dates and times, got Boolean; see `unit`"),
    ],
)
def test_a_value_that_is_none(mapping: LogMapping, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(LogError, match=message):
        read_log(pl.DataFrame(TABLE | columns, strict=False), mapping)


def test_rows_of_a_later_part_have_their_number_in_the_table(mapping: LogMapping) -> None:
    parts = read_parts(changed(spent=[1.0, 2.0, 3.0, None]), mapping, rows=3)
    next(parts)
    with pytest.raises(LogError, match=r"^row 3: spent: expected a number, got nothing$"):
        next(parts)


def test_all_missing_columns_at_once(mapping: LogMapping, tmp_path: Path) -> None:
    frame = changed().rename({"spent": "spend", "p": "prob"}).drop("who")
    with pytest.raises(LogError) as caught:
        read_log(frame, mapping)
    assert "reward: no column 'spent' in the table. Did you mean 'spend'?" in str(caught.value)
    assert "user: no column 'who' in the table." in str(caught.value)
    assert len(caught.value.faults) == 3
    with pytest.raises(FileNotFoundError, match=r"nowhere.parquet: no such file"):
        read_log(tmp_path / "nowhere.parquet", mapping)
    with pytest.raises(LogError, match=r"log.xlsx: expected a file that ends in \.parquet, \.csv"):
        read_log(tmp_path / "log.xlsx", mapping)


def test_probabilities_by_action(mapping: LogMapping) -> None:
    shares = {"a": [0.5, 1.0, 0.5, 0.5], "b": [0.5, 0.0, 0.25, 0.0], "c": [0.0, 0.0, 0.25, 0.5]}
    whole = mapping.model_copy(update={"probabilities": {"none": "a", "push": "b", "email": "c"}})
    rounds = read_log(changed(**shares), whole)
    assert rounds.probabilities is not None
    assert rounds.probabilities.tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.5, 0.0, 0.5]]
    few = mapping.model_copy(update={"probabilities": {"none": "a", "push": "b", "mail": "c"}})
    with pytest.raises(LogError) as caught:
        read_log(changed(**shares), few)
    assert "probabilities: expected a column for each action, got none for 'email'" in str(caught.value)
    assert "got 'mail'. Did you mean 'email'?" in str(caught.value)


def test_a_uniform_log_is_exactly_uniform(mapping: LogMapping) -> None:
    """Thirds that were written with four digits are thirds; other propensities are a fault."""
    drawn = mapping.model_copy(update={"probabilities": "uniform"})
    rounds = read_log(changed(p=[0.5, 1.0, 0.3333333, 0.5]), drawn)
    assert rounds.propensities is not None
    assert rounds.propensities[2] == 1 / 3
    with pytest.raises(
        LogError, match=r"row 2: p .propensity.: expected the probability .*, got 0\.25, and .* is 0\.333333"
    ):
        read_log(changed(), drawn)


def test_only_some_rows_are_decisions(mapping: LogMapping) -> None:
    """The others are counted, and a row at fault keeps its number in the table."""
    frame = changed(avail=[False, True, True, None], kind=["a", "b", "b", "b"], size=[1.0, 2.0, 2.0, 2.0])
    filtered = mapping.model_copy(update={"where": {"avail": True, "kind": "B", "size": 2}})
    rounds = read_log(frame, filtered)
    assert rounds.rewards.tolist() == [0.0, 0.0]
    assert rounds.action_names == ("none", "push", "email")
    told = "2 of 4 rows are left out: decisions are those where avail is true and kind is B and size is 2."
    assert left_out(frame, filtered) == (told,)
    assert left_out(frame, mapping) == ()
    broken = frame.with_columns(spent=pl.Series([1.5, 0.0, float("nan"), 2.0]))
    with pytest.raises(LogError, match=r"^row 2: spent .reward.: expected a finite number, got nan$"):
        read_log(broken, filtered)
    back = changed(avail=[False, True, True, True], who=["x", "anna", "ben", "anna"])
    hours = r"^row 3: when .hours.: expected not before the same user's decision above, got .*, and row 1 has "
    with pytest.raises(LogError, match=hours):
        read_log(back, mapping.model_copy(update={"where": {"avail": True}}))


def test_where_expects_a_value_that_occurs(mapping: LogMapping) -> None:
    frame = changed(avail=["yes", "no", "no", "yes"])
    expected = "where.avail: expected a value that occurs, got true; there are no, yes"
    with pytest.raises(LogError, match=expected):
        read_log(frame, mapping.model_copy(update={"where": {"avail": True}}))
    with pytest.raises(LogError, match=r"where\.avial: no column 'avial' in the table\. Did you mean 'avail'\?"):
        read_log(frame, mapping.model_copy(update={"where": {"avial": True}}))


def test_probabilities_that_never_change(mapping: LogMapping) -> None:
    """A number stands for a column, and the propensity of what was done follows from it."""
    constant = {"none": 0.2, "push": "b", "email": 0.3}
    plain = mapping.model_copy(update={"probabilities": constant, "propensity": None, "eligible": None})
    rounds = read_log(changed(b=[0.5] * 4), plain)
    assert rounds.propensities is not None
    assert rounds.propensities.tolist() == [0.5, 0.2, 0.3, 0.2]
    never = plain.model_copy(update={"probabilities": {"none": 0.0, "push": 0.5, "email": 0.5}})
    with pytest.raises(
        LogError, match=r"^row 1: probabilities: expected above 0 for the action taken, got 0 for 'none'"
    ):
        read_log(changed(), never)


def test_duolingos_own_layout(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "datetime": [0.5, 1.25], "ui_language": ["en", "de"],
            "eligible_templates": [["A", "L"], ["C", "B", "I"]],
            "selected_template": ["L", "B"], "session_end_completed": [True, False],
        }
    )  # fmt: skip
    frame.write_parquet(tmp_path / "log.parquet")
    rounds = read_log(tmp_path / "log.parquet", load_mapping("duolingo"))
    assert rounds.propensities is not None
    assert rounds.propensities.tolist() == [1 / 2, 1 / 3]
    assert (rounds.rewards.tolist(), np.asarray(rounds.hours).tolist()) == ([1.0, 0.0], [12.0, 30.0])
    assert [rounds.action_names[k] for k in np.flatnonzero(rounds.eligibility[1])] == ["B", "C", "I"]


def test_heartsteps_own_layout(tmp_path: Path) -> None:
    """Truths are written in capitals, and nothing was drawn where nobody was available."""
    text = """user.index,decision.index,sugg.decision.utime,avail,send,jbsteps30pre.zero,jbsteps30.zero
1,0,2015-07-23 18:01:26,TRUE,TRUE,10,120
1,1,2015-07-23 21:01:26,FALSE,FALSE,0,0
2,0,2015-08-01 12:00:00,TRUE,FALSE,0,7
"""
    (tmp_path / "suggestions.csv").write_text(text, encoding="utf-8")
    rounds = read_log(tmp_path / "suggestions.csv", load_mapping("heartsteps"))
    assert rounds.actions.tolist() == [1, 0]
    assert rounds.rewards.tolist() == [120.0, 7.0]
    assert rounds.propensities is not None
    assert rounds.propensities.tolist() == [0.6, 0.4]


def test_a_mapping_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "log.yaml"
    path.write_text(MAPPING.replace("propensity", "propensty").replace("reward: spent", "reward: 3"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    assert "log.yaml:5: propensty: unknown key. Did you mean 'propensity'?" in str(caught.value)
    assert "log.yaml:4: reward: expected text" in str(caught.value)


@pytest.mark.parametrize("name", ["hillstrom", "duolingo", "open-bandit", "heartsteps"])
def test_mappings_that_come_along_are_fine(name: str) -> None:
    """And say where a reader finds the data."""
    path = Path(__file__).parents[4] / "configs" / "logs" / f"{name}.yaml"
    assert load_mapping(path).reward
    assert path.read_text("utf-8").splitlines()[0] == "# yaml-language-server: $schema=../log-mapping.schema.json"
    assert any(where in path.read_text(encoding="utf-8") for where in ("doi.org", "minethatdata", "klasnja", "zozo"))


def test_the_schema_is_fresh() -> None:
    on_disk = json.loads((Path(__file__).parents[4] / "configs" / "log-mapping.schema.json").read_text("utf-8"))
    stale = "stale: run kairos config schema log-mapping --out configs/log-mapping.schema.json"
    assert on_disk == json.loads(json.dumps(mapping_schema())), stale


def test_configs_are_checked_by_one_command(tmp_path: Path) -> None:
    path = tmp_path / "log.yaml"
    path.write_text(MAPPING.replace("reward:", "rewards:"), encoding="utf-8")
    done = CliRunner().invoke(main, ["config", "check", str(path), "duolingo"])
    assert done.exit_code == 1
    assert "rewards: unknown key. Did you mean 'reward'?" in done.stderr
    assert "duolingo: fine" in done.stdout
    shown = CliRunner().invoke(main, ["config", "show", "hillstrom", "--set", "reward=spend", "--json"])
    assert json.loads(shown.stdout)["reward"] == "spend"
    assert "Mappings of logs" in CliRunner().invoke(main, ["config", "list"]).stdout


def test_a_table_without_rows(tmp_path: Path, mapping: LogMapping) -> None:
    pl.DataFrame(TABLE).head(0).write_csv(tmp_path / "log.csv")
    with pytest.raises(LogError, match=r"^expected a table with at least one row, got none$"):
        read_log(tmp_path / "log.csv", mapping)


def test_a_column_that_is_there_twice(tmp_path: Path, mapping: LogMapping) -> None:
    lines = pl.DataFrame(TABLE).write_csv().splitlines()
    (tmp_path / "log.csv").write_text(
        "\n".join(f"{line},{line.rpartition(',')[2]}" for line in lines), encoding="utf-8"
    )
    last = lines[0].rpartition(",")[2]
    assert last in mapping.columns().values()
    with pytest.raises(LogError, match=f"column '{last}' is there more than once"):
        read_log(tmp_path / "log.csv", mapping)


def test_a_reward_that_cannot_be_reckoned_with(mapping: LogMapping) -> None:
    frame = changed(spent=[1.5, 0.0, -1e300, 2.0])
    with pytest.raises(LogError, match=r"^row 2: spent .reward.: expected at most 1e\+50 in size, got -1e\+300$"):
        read_log(frame, mapping)
