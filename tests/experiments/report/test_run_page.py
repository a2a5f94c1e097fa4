"""A run's page: every section from its measure, an honest line where a measure is not there, refusals."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from experiments.report.comparison_page import comparison_page, run_names, write_comparison_page
from experiments.report.reading import MEASURES, ReportError, read_run
from experiments.report.replications import over_seeds
from experiments.report.run_page import run_page, write_run_page
from tests.experiments.report.sample_run import sample_run, write_parquet

HEADINGS = [
    "Value against opt-outs", "Who took part", "Who stays", "Hours of the day", "Fatigue", "By segment", "Learning",
    "Offline estimates beside the truth", "Certificate of the export", "Harm label", "In other worlds", "What was run",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sample_run(tmp_path / "results")


def text_of(page: str) -> str:
    """The page's words, without tags and style."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))).replace("\N{NO-BREAK SPACE}", " ")


def test_a_page_holds_every_section_in_order(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_run_page(folder, out)
    page = out.read_text("utf-8")
    assert re.findall(r"<h2>([^<]+)</h2>", page) == HEADINGS
    assert page.count('class="missing"') == 1  # no robustness in the sample
    words = text_of(page)
    for told in (
        "Does a policy that learns beat the best tuned cap on this shop's users?",
        "MaskablePPO is worth +0.06 EUR a user more than frequency cap.",
        "MaskablePPO over frequency cap, EUR a user with its 95 % interval: +0.060 (0.030 to 0.090), clear of 0.",
        "\N{MINUS SIGN}0.210 (\N{MINUS SIGN}0.240 to \N{MINUS SIGN}0.180)",
        "4 of 6 intervals hold the truth.",
        "the weights' effective sample is 12 of 40,000",
        "'rules' does as 'MaskablePPO' in 97.2 % of 41,000 states",
        "Tired: hidden fatigue above 2.31 push-equivalents: the most tired tenth of frequency cap",
        f"kairos reproduce {folder}",
        f"kairos run {folder}/config.yaml",
        "0123456789abcdef0123456789abcdef01234567",
        "5 min 12 s",
        "numpy 2.3.1",
    ):
        assert told in words, told
    assert not re.search(r"\bnan\b|None", words)


def test_a_page_asks_no_host_for_anything(folder: Path) -> None:
    page = run_page(read_run(folder))
    links = set(re.findall(r"(?:src|href)=\"([^\"#][^\"]*)\"", page)) - {"data:,"}
    assert not links
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert "<script" not in page


@pytest.mark.parametrize("measure", MEASURES)
def test_what_was_not_measured_is_left_out_with_a_word(folder: Path, measure: str) -> None:
    (folder / "measures" / f"{measure}.parquet").unlink()
    page = run_page(read_run(folder))
    assert re.findall(r"<h2>([^<]+)</h2>", page) == HEADINGS
    assert page.count('class="missing"') >= 2
    assert not re.search(r"\bnan\b", text_of(page))


def test_a_run_of_nothing_but_a_manifest_has_a_page(folder: Path) -> None:
    for part in ("measures", "exports"):
        shutil.rmtree(folder / part)
    (folder / "summary.json").unlink()
    page = run_page(read_run(folder))
    assert "There is no answer: the measures hold nobody's value against a reference." in text_of(page)
    assert page.count('class="missing"') == len(HEADINGS) - 1


def test_an_interval_that_holds_0_is_no_answer(tmp_path: Path) -> None:
    folder = sample_run(tmp_path, half=0.2)
    page = run_page(read_run(folder))
    told = "+0.06 (\N{MINUS SIGN}0.14 to 0.26), which holds 0: this run could not tell them apart."
    assert told in text_of(page)
    assert 'class="answer note verdict-better"' not in page
    (folder / "summary.json").write_text(json.dumps({"reference": "frequency cap"}), "utf-8")
    assert "Could not tell MaskablePPO and frequency cap apart." in text_of(run_page(read_run(folder)))


def test_a_run_that_loses_says_so(tmp_path: Path) -> None:
    folder = sample_run(tmp_path, shift=-0.2)
    (folder / "summary.json").write_text(json.dumps({"reference": "frequency cap", "best": "MaskablePPO"}), "utf-8")
    page = run_page(read_run(folder))
    assert "Nothing is worth more than frequency cap." in text_of(page)
    assert 'class="answer note verdict-worse"' in page


def test_what_a_point_is_is_shown_of_a_scorecard_alone(folder: Path) -> None:
    assert "one point is" not in text_of(run_page(read_run(folder)))
    path = folder / "exports/rules/certificate.json"
    told = json.loads(path.read_text("utf-8")) | {"one_point_is": "0.05 of its worth"}
    path.write_text(json.dumps(told), "utf-8")
    assert "one point is 0.05 of its worth" in text_of(run_page(read_run(folder)))


def test_the_matrix_is_shown_where_a_run_has_one(folder: Path) -> None:
    columns = {
        "policy": ["MaskablePPO"] * 2, "world": ["as trained", "tired twice"], "n_users": [100, 100],
        "sentence": ["as it is", "a send tires twice as much"], "worst_decile_eur": [-0.2, -0.7],
        "difference": [0.3, -0.1], "difference_low": [0.25, -0.15], "difference_high": [0.35, -0.05],
    }  # fmt: skip
    write_parquet(folder / "robustness" / "matrix.parquet", columns)
    words = text_of(run_page(read_run(folder)))
    assert (
        "MaskablePPO does worst in 'tired twice': \N{MINUS SIGN}0.100 (\N{MINUS SIGN}0.150 to \N{MINUS SIGN}0.050)."
        in words
    )
    assert "tired twice: a send tires twice as much" in words
    assert "The tenth of users who gain least from it lose most in 'tired twice': \N{MINUS SIGN}0.700." in words


def test_names_from_files_cannot_write_into_the_page(folder: Path) -> None:
    summary = {"question": "<script>alert(1)</script>", "answer": '"><img src=x onerror=alert(1)>', "reference": "a<b"}
    (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    page = run_page(read_run(folder))
    assert "<script>" not in page
    assert "<img" not in page


def test_what_is_no_finished_run_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="nowhere: no such folder; expected a run's folder"):
        read_run(tmp_path / "nowhere")
    unfinished = tmp_path / ".1.unfinished"
    unfinished.mkdir()
    with pytest.raises(ReportError, match=r"\.1\.unfinished: an unfinished run; expected a run's folder"):
        read_run(unfinished)
    with pytest.raises(ReportError, match=r"no finished run: no manifest\.json in it"):
        read_run(tmp_path)
    table = folder / "measures" / "harm.parquet"
    table.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ReportError, match=r"harm\.parquet: expected a Parquet file"):
        read_run(folder)
    table.unlink()
    manifest = folder / "manifest.json"
    manifest.write_text('{"format": 2}', "utf-8")
    with pytest.raises(ReportError, match=r"manifest\.json: format: expected 1, got 2"):
        read_run(folder)
    manifest.write_text("[1]", "utf-8")
    with pytest.raises(ReportError, match=r"manifest\.json: expected an object, got list"):
        read_run(folder)
    manifest.write_text("{", "utf-8")
    with pytest.raises(ReportError, match=r"manifest\.json: expected JSON"):
        read_run(folder)


def test_a_comparison_tells_whether_runs_agree(tmp_path: Path) -> None:
    folders = [sample_run(tmp_path / "results", seed=seed, shift=0.01 * seed) for seed in (1, 2, 3)]
    out = tmp_path / "page.html"
    write_comparison_page(folders, out)
    page = out.read_text("utf-8")
    words = text_of(page)
    assert "All 3 runs agree: MaskablePPO is worth clearly more." in words
    assert "over 3 seeds: 0.080 (0.055 to 0.105)" in page  # 0.07, 0.08, 0.09: 4.303 * 0.01 / sqrt(3)
    assert "seed 1: MaskablePPO" in words
    lost = sample_run(tmp_path / "results", seed=4, shift=-0.3)
    page = comparison_page([read_run(each) for each in (*folders, lost)])
    assert "The runs do not agree" in text_of(page)
    assert "MaskablePPO in 3 of 4" in text_of(page)


def test_a_comparison_of_configs_says_what_differs(tmp_path: Path) -> None:
    first, second = sample_run(tmp_path), sample_run(tmp_path, name="other")
    (second / "config.yaml").write_text("kind: experiment\nname: other\nscenario: {name: shop, n: 3}\n", "utf-8")
    runs = [read_run(first), read_run(second)]
    assert run_names(runs) == ["sample", "other"]
    words = text_of(comparison_page(runs))
    assert "scenario.n not there 3" in words
    assert re.search(r"name sample other", words)


def test_comparisons_need_two_runs_each_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    with pytest.raises(ReportError, match="expected at least two runs, got 1"):
        write_comparison_page([folder], out)
    with pytest.raises(ReportError, match=r"expected each run once, got .* twice"):
        write_comparison_page([folder, folder], out)
    assert not out.exists()


def test_over_seeds_is_students_interval() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert found.mean == pytest.approx(2.0)
    assert found.high - found.mean == pytest.approx(4.302653 / 3**0.5)  # t of 2 degrees at 97.5 %
    assert over_seeds([1.0]).n_runs == 1
    with pytest.raises(ValueError, match="expected at least one run"):
        over_seeds([])
