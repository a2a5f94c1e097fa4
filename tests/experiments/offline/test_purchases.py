"""Purchases: the files as they are published, and the summaries that others made of them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import gammaln

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.purchases import PurchaseSummary, read_purchases, summary_of

HALF_WAY = dt.date(1997, 9, 30)
MASTER = """\
 00001 19970101  1   11.77
 00002 19970112  1   12.00
 00002 19970112  5   77.00
 00002 19970202  1    3.00
"""


def log_likelihood(found: PurchaseSummary, r: float, alpha: float, a: float, b: float) -> float:
    """BG/NBD: Fader, Hardie & Lee (Marketing Science 2005), equation 6."""
    x, t, age = found.frequency, found.recency, found.age
    first = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    second = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    stays = -(r + x) * np.log(alpha + age)
    leaves = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t), -np.inf)
    return float((first + second + np.logaddexp(stays, leaves)).sum())


def test_the_published_summary_of_cdnow_and_its_likelihood(real_logs: Path) -> None:
    purchases = read_purchases(real_logs / "cdnow_transactions.csv.gz")
    assert len(purchases) == 6919
    found = summary_of(purchases, HALF_WAY)
    published = pl.read_csv(real_logs / "cdnow_sample_summary.csv.gz").sort("frequency", "recency", "T")
    ours = pl.DataFrame({"frequency": found.frequency, "recency": found.recency, "T": found.age})
    ours = ours.sort("frequency", "recency", "T")
    assert (ours["frequency"] == published["frequency"]).all()
    np.testing.assert_allclose(ours["recency"], published["recency"], atol=0.0051)  # published to two digits
    np.testing.assert_allclose(ours["T"], published["T"], atol=0.0051)
    told = json.loads((real_logs / "ground_truth_dev.json").read_text("utf-8"))["cdnow"]["published"]
    likelihood = log_likelihood(found, told["r"], told["alpha"], told["a"], told["b"])
    assert likelihood == pytest.approx(told["LL"], abs=0.06)


def test_cdnow_as_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "CDNOW_master.txt"
    path.write_text(MASTER, "utf-8")
    found = summary_of(read_purchases(path), dt.date(1997, 2, 9))
    assert found.customers == ("00001", "00002")
    assert found.frequency.tolist() == [0, 1], "two purchases of one day are one"
    np.testing.assert_allclose(found.recency, [0.0, 3.0])
    np.testing.assert_allclose(found.age, [39 / 7, 4.0])
    np.testing.assert_allclose(found.dollars, [11.77, 46.0])
    sample = tmp_path / "CDNOW_sample.txt"
    sample.write_text(" 00004     1  19970101  2   29.33\n", "utf-8")
    assert read_purchases(sample)["customer_id"].to_list() == ["00004"]


def test_what_is_no_purchase_is_told_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "customer_id,date,dollars\na,1997-01-02,3\n,1997-13-02,4\nb,1997-01-02,-1\nb,1997-01-02,inf\n", "utf-8"
    )
    with pytest.raises(LogError) as caught:
        read_purchases(path)
    assert caught.value.faults == (
        "row 1: customer_id: expected a customer, got ''",
        "row 1: date: expected a day such as 1997-01-31 or 19970131, got '1997-13-02'",
        "row 2: dollars: expected an amount of at least 0, got '-1'",
        "row 3: dollars: expected an amount of at least 0, got 'inf'",
    )
    path.write_text("customer,date,dollars\na,1997-01-02,3\n", "utf-8")
    with pytest.raises(LogError, match=r"no column 'customer_id' in own\.csv\. Did you mean 'customer'"):
        read_purchases(path)
    broken = tmp_path / "half.txt"
    broken.write_text(MASTER + " 00003 19970112\n", "utf-8")
    with pytest.raises(LogError, match=r"row 4: columns: expected 4 \(customer_id, date, cds, dollars\), got 2"):
        read_purchases(broken)
    broken.write_text("", "utf-8")
    with pytest.raises(LogError, match="expected purchases, got an empty file"):
        read_purchases(broken)
    broken.write_text(MASTER, "utf-8")
    with pytest.raises(LogError, match=r"expected a day after the first purchase, 1997-01-01, got 1996-01-01"):
        summary_of(read_purchases(broken), dt.date(1996, 1, 1))
