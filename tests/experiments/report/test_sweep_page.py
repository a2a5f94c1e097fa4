"""A sweep's page, and which fields matter: against effects that are known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import f_oneway

from experiments.report.reading import ReportError
from experiments.report.sweep_page import _means, sweep_page, unclear_from_best, write_sweep_page
from experiments.report.sweeps.effects import groupings, interactions, main_effects
from experiments.report.sweeps.reading import Level, Objective, Setting, SweepFolder, read_sweep
from tests.experiments.report.sample_sweep import sample_sweep
from tests.experiments.report.test_run_page import text_of

RATE, LAYERS, CAP = "agent.learning_rate", "agent.layers", "constraints.cap"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sample_sweep(tmp_path)


def test_the_page_says_what_is_best_what_matters_and_how_sure_that_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_sweep_page(folder, out)
    page = out.read_text("utf-8")
    assert re.findall(r"<h2>([^<]+)</h2>", page) == [
        "The best settings", "Which field matters", "Several fields at once", "All settings", "What was run",
    ]  # fmt: skip
    words = text_of(page)
    assert "Best: learning_rate 0.001, layers large, cap 4." in words
    assert "value_eur of MaskablePPO over the reference: +0.2" in words
    assert "over 3 seeds." in words
    assert "The best of 12 settings is also the luckiest" in words
    assert f"kairos sweep {folder}/sweep.yaml --out {folder}" in words
    assert 'class="missing"' not in page
    assert "0.001 / large / 4" in words
    assert not re.search(r"\bnan\b", words)
    assert page.count("<script") == 0


def test_effects_are_those_that_were_put_in(folder: Path) -> None:
    sweep = read_sweep(folder)
    assert sweep.fields == (RATE, LAYERS, CAP)
    assert (len(sweep.settings), sweep.n_planned, sweep.n_measured) == (12, 36, 36)
    by = groupings(sweep.fields, [sweep.column(field) for field in sweep.fields])
    alone = main_effects(by, sweep.results())
    assert alone[0].fields == (RATE,)
    assert alone[0].share > 0.4
    assert alone[0].p_value < 1e-4
    cap = next(effect for effect in alone if effect.fields == (CAP,))
    assert cap.share < 0.05
    assert cap.p_value > 0.1
    pairs = interactions(by, sweep.results())
    assert pairs[0].fields == (LAYERS, CAP)
    assert pairs[0].share > 0.2
    other = next(effect for effect in pairs if effect.fields == (RATE, LAYERS))
    assert other.p_value > 0.1


def test_a_main_effect_is_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(3)
    column: list[Level] = list("aaaaaaaabbbbbccccccc")
    results = rng.standard_normal(20) + np.repeat([0.0, 0.5, 1.0], [8, 5, 7])
    [effect] = main_effects(groupings(["x"], [column]), results)
    groups = [results[:8], results[8:13], results[13:]]
    assert effect.p_value == pytest.approx(f_oneway(*groups).pvalue)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    total = ((results - results.mean()) ** 2).sum()
    assert effect.share == pytest.approx((total - within - 2 * within / 17) / total)


def test_a_field_that_does_nothing_explains_nothing_on_average() -> None:
    rng = np.random.default_rng(5)
    plain, kept = [], []
    for _ in range(400):
        column: list[Level] = list(np.tile(np.arange(5), 6).tolist())
        results = rng.standard_normal(30)
        [effect] = main_effects(groupings(["x"], [column]), results)
        kept.append(effect.share)
        plain.append(effect.p_value)
    assert np.mean(kept) < 0.06  # cut at 0; the plain share of variance would be 4 / 29 = 0.14
    assert 0.02 < np.mean(np.asarray(plain) < 0.05) < 0.09  # 400 draws of 0.05: within four standard errors


def test_without_repetitions_an_interaction_is_not_told(tmp_path: Path) -> None:
    sweep = read_sweep(sample_sweep(tmp_path, n_seeds=1))
    by = groupings(sweep.fields[:1], [sweep.column(RATE)])
    assert [each.names for each in by] == [("0.0003", "0.001", "0.003")]
    columns: list[list[Level]] = [["a", "a", "b", "b"], ["x", "y", "x", "y"]]
    [pair] = interactions(groupings(["f", "g"], columns), np.asarray([1.0, 2.0, 3.0, 5.0]))
    assert np.isnan(pair.p_value)
    assert np.isnan(pair.share)
    assert "One seed each, so there are no intervals." in text_of(sweep_page(sweep))


def test_many_numbers_are_put_into_groups_of_the_same_size() -> None:
    column: list[Level] = list(np.linspace(0, 1, 40).tolist())
    [grouping] = groupings(["x"], [column])
    assert len(grouping.names) == 4
    assert np.bincount(grouping.group).tolist() == [10, 10, 10, 10]
    assert grouping.names[0] == "0 to 0.2308"
    assert groupings(["x"], [[1, 1, 1]]) == []


def test_settings_that_cannot_be_told_from_the_best_are_counted(tmp_path: Path) -> None:
    clear = read_sweep(sample_sweep(tmp_path, noise=0.0005, name="clear"))
    assert unclear_from_best(clear) == []
    noisy = read_sweep(sample_sweep(tmp_path, noise=0.5, name="noisy"))
    assert len(unclear_from_best(noisy)) >= 8
    assert re.search(r"It could not be told from \d+ of the 11 others", text_of(sweep_page(noisy)))
    single = read_sweep(sample_sweep(tmp_path, n_seeds=1, name="single"))
    assert len(unclear_from_best(single)) == 11


def test_equal_settings_are_seldom_told_to_be_behind_the_luckiest() -> None:
    """Of 20 settings that are the same, one is the best by luck: that any is clearly behind it is told in 5 of 100."""
    rng, n_told = np.random.default_rng(0), 0
    for _ in range(400):
        seeds = rng.normal(size=5)  # users of a seed are worth more or less to every setting
        settings = tuple(Setting({"x": k}, {seed: seeds[seed] + rng.normal() for seed in range(5)}) for k in range(20))
        sweep = SweepFolder(Path("s"), "", ("x",), settings, Objective("value_eur", "a", True, True), 100, 100, 0)
        n_told += len(unclear_from_best(sweep)) < 19
    assert 400 * 0.02 < n_told < 400 * 0.08


def test_an_interval_of_a_level_covers_its_mean() -> None:
    """Trials of a seed share their users: twelve of them are no twelve independent results."""
    rng, n_held, n = np.random.default_rng(1), 0, 300
    for _ in range(n):
        seeds = rng.normal(size=4)
        settings = tuple(
            Setting({"x": k % 2, "y": k}, {seed: seeds[seed] + 0.1 * rng.normal() for seed in range(4)})
            for k in range(24)
        )
        sweep = SweepFolder(Path("s"), "", ("x", "y"), settings, Objective("value_eur", "a", True, True), 96, 96, 0)
        grouping = next(each for each in groupings(["x"], [sweep.column("x")]))
        told = _means(grouping, sweep)[0]
        n_held += told.low <= 0.0 <= told.high
    assert 0.92 * n < n_held < 0.98 * n


def test_an_objective_of_the_sweeps_own_is_kept(folder: Path) -> None:
    with (folder / "sweep.yaml").open("a") as file:
        file.write("search: {objective: {outcome: value_eur, policy: frequency cap, of: mean, direction: minimize}}\n")
    sweep = read_sweep(folder)
    assert sweep.objective.in_words() == "value_eur of frequency cap"
    assert not sweep.objective.is_more_better
    (folder / "sweep.yaml").write_text("search: {objective: {policy: nobody}}\n", "utf-8")
    with pytest.raises(ReportError, match="expected rows of policy 'nobody'; got frequency cap, MaskablePPO"):
        read_sweep(folder)
    (folder / "sweep.yaml").write_text("search: {objective: {outcome: opens}}\n", "utf-8")
    with pytest.raises(ReportError, match="expected rows of outcome 'opens', got none"):
        read_sweep(folder)


def test_failed_trials_are_told(folder: Path) -> None:
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    plan["settings"][0]["seeds"].append(4)
    plan["settings"][1]["given_up_after"] = 2
    (folder / "plan.json").write_text(json.dumps(plan), "utf-8")
    words = text_of(sweep_page(read_sweep(folder)))
    assert "1 of 36 trials failed or did not measure the objective." in words
    assert "Settings given up early, being behind: 1. They count with the seeds that they had." in words


def test_what_is_no_finished_sweep_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no plan\.json in it; expected a sweep's folder"):
        read_sweep(tmp_path)
    with pytest.raises(ReportError, match="nowhere: no such folder"):
        read_sweep(tmp_path / "nowhere")
    (folder / "table.parquet").unlink()
    with pytest.raises(ReportError, match=r"an unfinished sweep: no table\.parquet yet"):
        read_sweep(folder)
    (folder / "table.parquet").touch()
    (folder / "plan.json").write_text('{"settings": 3}', "utf-8")
    with pytest.raises(ReportError, match="settings: expected a list of settings"):
        read_sweep(folder)
