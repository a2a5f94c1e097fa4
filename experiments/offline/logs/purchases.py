"""Purchases by customer, and what a model of churn reads of them: recency, frequency and age.

The public set is CDNOW: all purchases until June 1998 of customers who first bought from the music shop in the first
quarter of 1997. Fader & Hardie have it at brucehardie.com/datasets ("CDNOW data set: the full data set", and "the 1/10
sample"). Its own files, CDNOW_master.txt and CDNOW_sample.txt, have no header and blanks between columns; a table with
a header is read by the names of its columns.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from experiments.offline.logs.faults import LogError, rows_that_are
from experiments.offline.logs.logged import Floats, Ints
from simulator.config import did_you_mean

MASTER = ("customer_id", "date", "cds", "dollars")
SAMPLE = ("customer_id", "sample_id", "date", "cds", "dollars")
NEEDED = ("customer_id", "date", "dollars")
DAYS_A_WEEK = 7.0


@dataclass(frozen=True, eq=False)
class PurchaseSummary:
    """What is known of each customer at the end of an observed time; weeks as in the literature on CDNOW.

    Attributes:
        customers: sorted, C of them.
        frequency: days with a purchase after the first, shape (C,).
        recency: weeks from the first purchase to the last, 0 without a second, shape (C,).
        age: weeks from the first purchase to the end, shape (C,).
        dollars: mean amount of a day with a purchase, shape (C,).
    """

    customers: tuple[str, ...]
    frequency: Ints
    recency: Floats
    age: Floats
    dollars: Floats


def read_purchases(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Return purchases: `customer_id` (text), `date`, `dollars`, and what else the file has, in the file's order.

    Args:
        path: CDNOW_master.txt, CDNOW_sample.txt, or a CSV file with a header that has these columns.

    Raises:
        LogError: columns are missing, or values are no dates or amounts; by row and column.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    table = _without_header(path) if path.suffix == ".txt" else pl.read_csv(path, infer_schema=False)
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise LogError(f"no column {name!r} in {path.name}.{did_you_mean(name, table.columns)}" for name in missing)
    texts, amounts = table["date"], table["dollars"].cast(pl.Float64, strict=False)
    days = texts.str.replace_all("-", "").str.to_date("%Y%m%d", strict=False)
    faults = rows_that_are(
        table["customer_id"].fill_null("").str.len_chars().to_numpy() == 0, "customer_id", "a customer", lambda _: "''"
    )
    faults += rows_that_are(
        days.is_null().to_numpy(), "date", "a day such as 1997-01-31 or 19970131", lambda row: repr(texts[row])
    )
    is_amount = ((amounts >= 0.0) & amounts.is_finite()).fill_null(value=False).to_numpy()
    faults += rows_that_are(~is_amount, "dollars", "an amount of at least 0", lambda row: repr(table["dollars"][row]))
    if faults:
        raise LogError(faults)
    return table.with_columns(date=days, dollars=amounts)


def summary_of(purchases: pl.DataFrame, until: dt.date) -> PurchaseSummary:
    """Return recency, frequency and age of all who had bought by the end of a day.

    Purchases of one day count as one: so do the published summaries (Fader, Hardie & Lee, "Counting your customers the
    easy way", Marketing Science 2005).

    Args:
        purchases: as `read_purchases` returns them.
        until: last day that counts.

    Raises:
        LogError: nobody had bought by then.
    """
    days = purchases.filter(pl.col("date") <= until).group_by("customer_id", "date").agg(pl.col("dollars").sum())
    if not len(days):
        first = purchases["date"].sort()[0]
        raise LogError([f"until: expected a day after the first purchase, {first}, got {until}"])
    by_customer = (
        days.group_by("customer_id")
        .agg(
            frequency=pl.len() - 1,
            recency=(pl.col("date").max() - pl.col("date").min()).dt.total_days() / DAYS_A_WEEK,
            age=(pl.lit(until) - pl.col("date").min()).dt.total_days() / DAYS_A_WEEK,
            dollars=pl.col("dollars").mean(),
        )
        .sort("customer_id")
    )
    return PurchaseSummary(
        tuple(by_customer["customer_id"]),
        by_customer["frequency"].cast(pl.Int64).to_numpy().copy(),
        by_customer["recency"].to_numpy().copy(),
        by_customer["age"].to_numpy().copy(),
        by_customer["dollars"].to_numpy().copy(),
    )


def _without_header(path: Path) -> pl.DataFrame:
    """Return one of CDNOW's own files, all columns as text."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    names = SAMPLE if rows and len(rows[0]) == len(SAMPLE) else MASTER
    wrong = np.array([len(row) != len(names) for row in rows], np.bool_)
    if not rows or wrong.any():
        told = rows_that_are(wrong, "columns", f"{len(names)} ({', '.join(names)})", lambda row: len(rows[row]))
        raise LogError(told or [f"{path.name}: expected purchases, got an empty file"])
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
