"""An experiment's config: what it means, what it refuses, and what its hash depends on."""

from __future__ import annotations

import itertools
import json
import typing
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import click
import pytest

from agents.distil.scorecards import ScorecardSettings
from agents.distil.trees import TreeSettings
from experiments.evaluation.tuned_baselines import KINDS
from experiments.faults import ConfigError
from experiments.init_command import _write_new
from experiments.offline.estimators.sequential_catalogue import SEQUENTIAL
from experiments.run.config import BaselineKind, EstimatorName, Form, TrainedAgent
from experiments.run.luck import (
    APART,
    MOST_LEARNED,
    PURPOSES,
    USERS_A_SEED,
    first_learned,
    first_user,
    training_seed,
)
from experiments.run.source import (
    experiment_names,
    experiment_of,
    experiment_path,
    experiment_schema,
    load_experiment,
)
from experiments.shipped import kind_written
from policies.codec import write
from policies.document import Document, Greedy, Rules
from tests.architecture.imports import ROOT
from tests.experiments.run.tiny import kairos, tiny

GOOD = """\
kind: experiment
name: good
scenario: news
reference: silence
contenders:
  - kind: silence
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text, "utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_experiment(written(folder, text))
    return [str(fault).removeprefix(f"{folder}/") for fault in caught.value.faults]


@pytest.mark.parametrize("name", experiment_names())
def test_what_comes_with_the_package_is_fine(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.config.name == name
    assert experiment.config.question.endswith("?")
    assert kind_written(experiment_path(name)) == "experiment"


def test_names_are_those_of_the_catalogues() -> None:
    """They are written out in the config, so that checking one compiles nothing."""
    assert set(typing.get_args(BaselineKind)) == set(KINDS) - {"never"}
    assert typing.get_args(EstimatorName) == tuple(SEQUENTIAL)
    from experiments.exports.forms import SUFFIXES

    assert typing.get_args(Form) == tuple(SUFFIXES)


def test_the_schema_for_editors_is_fresh() -> None:
    kept = (ROOT / "configs" / "experiment.schema.json").read_text("utf-8")
    assert json.loads(kept) == json.loads(json.dumps(experiment_schema())), "kairos config schema experiment --out"


def test_plain_data_loads_back_equal() -> None:
    experiment = tiny()
    again = experiment_of(json.loads(json.dumps(experiment.to_data())))
    assert again.to_data() == experiment.to_data()
    assert again.hash == experiment.hash
    assert experiment_of(experiment.to_data(), seed=9).config.seed == 9
    with pytest.raises(ConfigError, match=r"config: scenario: expected an experiment as Experiment\.to_data gives it"):
        experiment_of({"kind": "experiment", "scenario": "news"})
    broken = experiment.to_data()
    broken["scenario"]["behaviour"]["fatigue"]["fatigue_hours"] = -1
    with pytest.raises(
        ConfigError, match=r"config: behaviour.fatigue.fatigue_hours: expected a number >= 0.05, got -1"
    ):
        experiment_of(broken)


def test_the_hash_is_of_what_decides_a_trial(tmp_path: Path) -> None:
    base = load_experiment(written(tmp_path, GOOD))
    assert len(base.hash) == 12
    same: list[dict[str, object]] = [{"seed": 7}, {"name": "other"}, {"title": "Other"}]
    for changes in same:
        assert load_experiment(tmp_path / "experiment.yaml", changes).hash == base.hash, changes
    others: list[dict[str, object]] = [
        {"evaluation.n_users": 7}, {"settings": {"seed": 5}}, {"horizon_days": 3}, {"scenario": "games"},
        {"question": "Why?"},
    ]  # fmt: skip
    hashes = {load_experiment(tmp_path / "experiment.yaml", changes).hash for changes in others}
    assert len(hashes | {base.hash}) == len(others) + 1


def test_a_horizon_and_settings_are_written_over_the_scenario(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "horizon_days: 5\nsettings: {behaviour.fatigue.fatigue_hours: 10}\n")
    scenario = load_experiment(path).scenario
    assert (scenario.calendar.horizon_days, scenario.behaviour.fatigue.fatigue_hours) == (5, 10)


def test_a_document_counts_by_its_content(tmp_path: Path) -> None:
    document = Document("quiet", 4, Rules(()), Greedy())
    text = GOOD + "  - {kind: document, name: mine, path: mine.json}\n"
    (tmp_path / "mine.json").write_text(write(document), "utf-8")
    experiment = load_experiment(written(tmp_path, text))
    assert experiment.documents["mine"].name == "quiet"
    again = experiment_of(experiment.to_data())
    assert again.hash == experiment.hash
    assert again.documents == experiment.documents
    (tmp_path / "moved.json").write_text(write(document), "utf-8")
    moved = load_experiment(written(tmp_path, text.replace("mine.json", "moved.json")))
    assert moved.hash == experiment.hash
    (tmp_path / "mine.json").write_text(write(Document("loud", 4, Rules(()), Greedy())), "utf-8")
    assert load_experiment(written(tmp_path, text)).hash != experiment.hash


def test_every_fault_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
kind: experiment
name: Bad Name
scenario: newz
seed: 4096
reference: capp
contenders:
  - kind: silence
  - kind: baseline
    name: cap
    baseline: frequency_capp
  - kind: agent
    name: bandit
    agent: {kind: linear_tompson}
    training: {n_steps: 10, evaluate_evry: 5}
  - kind: documnt
    name: mine
evaluation: {n_users: 1}
offline: {log: rendom, estimators: [per_decision]}
horizon: 3
"""
    found = faults(tmp_path, text)
    lines = [line.split(":")[1] for line in found]
    assert lines == sorted(lines, key=int)
    expected = [
        "experiment.yaml:2: name: expected a name of lower-case letters",
        "experiment.yaml:3: scenario: newz: no such preset; known: ecommerce, games, learning, news. Did you mean",
        "experiment.yaml:4: seed: expected a whole number <= 4095, got 4096",
        "experiment.yaml:10: contenders.1.baseline: expected one of 'always', 'random'",
        "experiment.yaml:13: contenders.2.agent.kind: expected one of 'epsilon_greedy'",
        "experiment.yaml:14: contenders.2.training.evaluate_evry: unknown key. Did you mean 'evaluate_every'?",
        "experiment.yaml:14: contenders.2.training.evaluate_every: this key is missing",
        "experiment.yaml:15: contenders.3.kind: expected one of 'silence', 'baseline', 'agent', 'document', got",
        "experiment.yaml:17: evaluation.n_users: expected a whole number >= 2, got 1",
        "experiment.yaml:18: offline.estimators.0: expected one of 'trajectory_is'",
        "experiment.yaml:19: horizon: unknown key. Did you mean 'horizon_days'?",
    ]
    for start in expected:
        assert any(line.startswith(start) for line in found), (start, found)
    assert len([line for line in found if "contenders.2.agent" in line]) == 1, found
    assert "Did you mean 'linear_thompson'?" in "\n".join(found)
    assert "Did you mean 'frequency_cap'?" in "\n".join(found)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("reference: capp", "reference: expected one of silence, got 'capp'"),
        ("offline: {log: cap}", "offline.log: expected one of random, silence, got 'cap'"),
        ("exports: {contenders: [x]}", "exports.contenders.0: expected one of silence, got 'x'"),
        ("robustness: {worlds: [shok]}", "robustness.worlds.0: expected one of fatigue-twice, slow-recovery"),
        ("tuning: {first_users: 9, most_users: 4}", "tuning.most_users: expected at least first_users (9), got 4"),
        ("horizon_days: 0", "horizon_days: expected a whole number >= 1, got 0"),
        ("horizon_days: 3\noffline: {horizon_days: 4}", "offline.horizon_days: expected at most the experiment's 3"),
        ("settings: {behaviour.fatig: 1}", "settings.behaviour.fatig: unknown key. Did you mean 'fatigue'?"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, more: str, told: str) -> None:
    base = GOOD.replace("reference: silence\n", "") if more.startswith("reference") else GOOD
    found = faults(tmp_path, f"{base}{more}\n")
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{kind: silence}", "contenders.1.name: 'silence' is taken by contenders.0"),
        ("{kind: document, name: a, path: no.json}", "no.json: expected a policy document's file: No such file"),
        ("{kind: document, name: a, path: bad.json}", "contenders.1.path: bad.json"),
        ("{kind: document, name: a, path: two.json}", "expected a document of n_slots (4) candidates, got 2"),
        (
            "{kind: agent, name: a, agent: {kind: ppo}, credit: {}, training: {n_steps: 1, evaluate_every: 1}}",
            "contenders.1.credit: an agent of kind 'ppo' learns by its own discount; leave it out",
        ),
        (
            (
                "{kind: agent, name: a, agent: {kind: ucb1}, environment: {lenses: [{kind: normalisation}]}, "
                "training: {n_steps: 1, evaluate_every: 1}}"
            ),
            "contenders.1.environment.lenses.0: bandits scale what they read themselves",
        ),
        (
            (
                "{kind: agent, name: a, agent: {kind: ucb1}, environment: {spread_hours: 100000}, "
                "training: {n_steps: 1, evaluate_every: 1}}"
            ),
            "contenders.1.environment.spread_hours: expected at most 4344, a day less than the horizon of 182 days",
        ),
    ],
)
def test_a_contender_that_does_not_fit_is_told_on_its_line(tmp_path: Path, entry: str, told: str) -> None:
    (tmp_path / "bad.json").write_text("{}", "utf-8")
    (tmp_path / "two.json").write_text(write(Document("two", 2, Rules(()), Greedy())), "utf-8")
    found = faults(tmp_path, f"{GOOD}  - {entry}\n")
    assert told in found[0], found
    assert all(line.startswith("experiment.yaml:7: ") for line in found), found


def test_nobody_contends(tmp_path: Path) -> None:
    found = faults(tmp_path, GOOD[: GOOD.index("contenders")] + "contenders: []\n")
    assert found == ["experiment.yaml:5: contenders: expected at least 1 entries, got 0"]


def test_seeds_of_experiments_meet_different_users() -> None:
    assert training_seed(4095) + USERS_A_SEED <= 2**32
    starts = sorted(first_user(seed, purpose) for seed in (0, 1, 4095) for purpose in PURPOSES)
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert min(gaps) >= USERS_A_SEED
    # A search for baselines also takes users two thousand million beside its own.
    assert first_user(4095, "tuning") + 2 * 10**9 + USERS_A_SEED < first_user(0, "evaluation")
    assert training_seed(4095) + USERS_A_SEED < APART


@pytest.mark.parametrize("learn_users", [2, 512, 4096, MOST_LEARNED])
@pytest.mark.parametrize("n_users", [2, 4096, 2**20])
def test_rounds_of_distillation_meet_different_users(learn_users: int, n_users: int) -> None:
    """Among each other, whoever is more, and none of another seed's."""
    n_rounds = TreeSettings().rounds
    assert n_rounds == ScorecardSettings().rounds
    starts = [first_learned(7, round_, learn_users, n_users) for round_ in range(n_rounds)]
    assert starts[0] == first_user(7, "learning")
    assert all(b - a >= learn_users for a, b in itertools.pairwise(starts))
    assert starts[-1] + learn_users <= first_user(8, "learning")


def test_config_commands_know_experiments(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert kairos("config", "check", str(path), "quick").stdout == f"{path}: fine\nquick: fine\n"
    shown = kairos("config", "show", str(path), "--json")
    assert json.loads(shown.stdout)["evaluation"] == {"n_users": 4096, "seed": None}
    assert "Experiments\n" in kairos("config", "list").stdout
    assert json.loads(kairos("config", "schema", "experiment").stdout)["title"] == "ExperimentConfig"
    missing = kairos("config", "check", "quik")
    assert missing.exit_code == 1


@pytest.mark.parametrize("kind", ["experiment", "scenario", "training", "sweep"])
def test_init_writes_a_start_that_checks_clean(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = kairos("init", "first-try", "--kind", kind)
    assert done.exit_code == 0, done.stderr
    text = Path("first-try.yaml").read_text("utf-8")
    assert "\nname: first-try\n" in text
    assert text.count("#") >= 5
    schema = Path(text.splitlines()[0].partition("$schema=")[2])
    assert schema.is_file(), schema
    assert kairos("config", "check", "first-try.yaml").stdout == "first-try.yaml: fine\n"
    again = kairos("init", "first-try", "--kind", kind)
    assert again.exit_code == 1
    assert again.stderr == "Error: first-try.yaml: is there already, and is left as it is; give another name.\n"
    assert Path("first-try.yaml").read_text("utf-8") == text


def test_of_two_inits_at_the_same_moment_one_writes(tmp_path: Path) -> None:
    path, ready, wrote = tmp_path / "new" / "my.yaml", Barrier(8), []

    def write(number: int) -> None:
        ready.wait()
        with suppress(click.ClickException):
            _write_new(path, f"name: {number}\n" * 2_000)
            wrote.append(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert len(wrote) == 1
    assert path.read_text("utf-8") == f"name: {wrote[0]}\n" * 2_000
    assert list(path.parent.iterdir()) == [path]


def test_init_refuses_what_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = kairos("init", "My App")
    assert refused.exit_code == 2
    assert "expected up to 40 lower-case letters, digits, - and _, got 'My App'" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    assert kairos("init").exit_code == 0
    assert Path("my-experiment.yaml").is_file()


def test_each_seed_judges_its_trainings_on_users_of_its_own() -> None:
    """Else all seeds would choose their policies by the same users, and would be no replications."""
    begins = []
    for seed in (1, 2):
        experiment = tiny(seed=seed)
        agent = experiment.config.contenders[2]
        assert isinstance(agent, TrainedAgent)
        plan = experiment.plan_of(agent)
        begins.append(plan.config.training.evaluation.seed)
        assert begins[-1] == first_user(seed, "held_out") + agent.training.evaluation.seed
    assert begins[1] - begins[0] == USERS_A_SEED
