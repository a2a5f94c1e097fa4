"""A finished run's folder as the contract has it, with plausible numbers that nobody measured: only for tests."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from experiments.results import whole_file

SEGMENTS = ("regular", "devoted", "tourist")
USERS = {"regular": 2400, "devoted": 600, "tourist": 1000}
N_DAYS = 56
KINDS = {
    "never": "silence",
    "frequency cap": "baseline",
    "linear Thompson": "bandit",
    "MaskablePPO": "reinforcement",
}
GAIN = {"never": 0.0, "frequency cap": 0.21, "linear Thompson": 0.16, "MaskablePPO": 0.27}
RATE = {"never": 0.0, "frequency cap": 0.35, "linear Thompson": 0.62, "MaskablePPO": 0.41}  # sends a user and day
OPT_OUT_PER_SEND = 0.004
REFERENCE = "frequency cap"


def write_parquet(path: Path, columns: dict[str, Any], notes: dict[str, str] | None = None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole_file(path) as partial:
        pq.write_table(pa.table(columns).replace_schema_metadata(notes), partial)


def sample_run(root: Path, *, seed: int = 1, shift: float = 0.0, name: str = "sample", half: float = 0.03) -> Path:
    """Write a run and return its folder.

    Args:
        root: below which the folder is made.
        shift: added to the gains of the learners.
        half: half the width of the intervals of differences.
    """
    folder = root / name / "0123456789ab" / str(seed)
    rng = np.random.default_rng(seed)
    (folder / "measures").mkdir(parents=True)
    gains = {who: gain + (shift if KINDS[who] not in ("silence", "baseline") else 0.0) for who, gain in GAIN.items()}
    best = max(gains, key=lambda who: gains[who])
    write_parquet(folder / "measures/outcomes.parquet", _outcomes(gains, half))
    write_parquet(folder / "measures/days.parquet", _days(gains, rng))
    write_parquet(folder / "measures/hours.parquet", _hours())
    write_parquet(folder / "measures/segments.parquet", _segments(gains))
    notes = {"fatigued_sends": "hidden fatigue above 2.31 push-equivalents: the most tired tenth of frequency cap"}
    write_parquet(folder / "measures/harm.parquet", _harm(), notes)
    write_parquet(folder / "measures/curves.parquet", _curves(gains))
    write_parquet(folder / "measures/offline.parquet", _offline(gains))
    _write_json(folder / "exports/rules/certificate.json", CERTIFICATE)
    difference = gains[best] - gains[REFERENCE]
    _write_json(
        folder / "summary.json",
        {
            "question": "Does a policy that learns beat the best tuned cap on this shop's users?",
            "answer": f"{best} is worth {difference:+.2f} EUR a user more than {REFERENCE}.",
            "reference": REFERENCE,
            "best": best,
            "difference": {"mean": difference, "low": difference - half, "high": difference + half},
        },
    )
    _write_json(
        folder / "manifest.json",
        {
            "format": 1,
            "kind": "experiment",
            "name": name,
            "config_hash": "0123456789ab",
            "seed": seed,
            "versions": {"python": "3.11.9", "numpy": "2.3.1", "numba": "0.62.0"},
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "machine": {"processor": "x86_64", "cores": 2, "system": "Linux"},
            "started": "2026-11-27T01:50:00Z",
            "duration_s": 312.4,
            "files": {},
        },
    )
    text = f"kind: experiment\nname: {name}\ntitle: Learning against a tuned cap\nreference: {REFERENCE}\n"
    (folder / "config.yaml").write_text(text, "utf-8")
    return folder


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def _outcomes(gains: dict[str, float], half: float) -> dict[str, list[Any]]:
    rows = []
    for who, gain in gains.items():
        sends = RATE[who] * N_DAYS
        means = {
            "value_eur": 3.1 + gain,
            "sends": sends,
            "opens": 0.09 * sends,
            "clicks": 0.03 * sends,
            "sessions": 21.0 + 8 * gain,
            "opt_outs": OPT_OUT_PER_SEND * sends,
            "churns": 0.06 + 0.002 * sends,
            "retained": 0.91 - 0.001 * sends,
            "satisfaction": 0.95 - 0.002 * sends,
        }
        for outcome, mean in means.items():
            error = 0.01 * abs(mean)
            change = mean - (3.1 + gains[REFERENCE]) if outcome == "value_eur" else math.nan
            is_reference = who == REFERENCE or outcome != "value_eur"
            rows.append(
                {
                    "policy": who, "kind": KINDS[who], "outcome": outcome, "unit": "a user", "mean": mean,
                    "standard_error": error, "low": mean - 2 * error, "high": mean + 2 * error,
                    "difference": None if is_reference else change,
                    "difference_low": None if is_reference else change - half,
                    "difference_high": None if is_reference else change + half,
                }
            )  # fmt: skip
    return {key: [row[key] for row in rows] for key in rows[0]}


def _days(gains: dict[str, float], rng: np.random.Generator) -> dict[str, list[Any]]:
    rows = []
    for who, gain in gains.items():
        for day in range(N_DAYS):
            for segment, users in USERS.items():
                present = int(users * (0.94 + 0.06 * math.exp(-day / 30)) * (1 - 0.0004 * RATE[who] * day))
                sends = int(present * RATE[who] * (1 + 0.1 * rng.standard_normal()))
                rows.append(
                    {
                        "policy": who, "day": day, "segment": segment, "users": users, "present": present,
                        "sends": max(sends, 0), "opens": int(0.09 * sends), "opt_outs": int(OPT_OUT_PER_SEND * sends),
                        "value_eur": users * (3.1 + gain) / N_DAYS, "fatigue": 4 * RATE[who] * (1 - math.exp(-day / 5)),
                    }
                )  # fmt: skip
    return {key: [row[key] for row in rows] for key in rows[0]}


def _hours() -> dict[str, list[Any]]:
    hours = np.arange(24)
    shape = np.exp(-(((hours - 19) / 3.0) ** 2)) + 0.5 * np.exp(-(((hours - 9) / 2.0) ** 2))
    columns: dict[str, list[Any]] = {"policy": [], "local_hour": [], "sends": [], "opens": [], "opt_outs": []}
    for k, who in enumerate(KINDS):
        sends = (RATE[who] * 10_000 * np.roll(shape, k)).astype(int)
        columns["policy"] += [who] * 24
        columns["local_hour"] += hours.tolist()
        columns["sends"] += sends.tolist()
        columns["opens"] += (sends // 11).tolist()
        columns["opt_outs"] += (sends // 250).tolist()
    return columns


def _segments(gains: dict[str, float]) -> dict[str, list[Any]]:
    rows = []
    for who, gain in gains.items():
        for k, (segment, users) in enumerate(USERS.items()):
            sends, more = RATE[who] * N_DAYS, (gain - gains[REFERENCE]) * (0.6 + 0.5 * k)
            figures = {
                "sends": sends, "opens": 0.09 * sends, "opt_outs": OPT_OUT_PER_SEND * sends, "churns": 0.06,
                "retained": 0.9, "value_eur": 3 + gain,
            }  # fmt: skip
            row = {"policy": who, "segment": segment, "users": users}
            for name, value in figures.items():
                row |= {name: value, f"{name}_se": 0.01 * value}
            is_reference = who == REFERENCE
            row |= {"gain_eur": math.nan if is_reference else more}
            row |= {"gain_low": math.nan if is_reference else more - 0.05 - 0.02 * k}
            rows.append(row | {"gain_high": math.nan if is_reference else more + 0.05 + 0.02 * k})
    return {key: [row[key] for row in rows] for key in rows[0]}


def _harm() -> dict[str, list[Any]]:
    rows = []
    for who, rate in RATE.items():
        for segment in ("", *SEGMENTS):
            users = USERS.get(segment, sum(USERS.values()))
            sends = int(users * rate * N_DAYS)
            rows.append(
                {
                    "policy": who, "segment": segment, "users": users, "sends": sends, "night_sends": sends // 20,
                    "fatigued_sends": sends // 10, "opt_outs": int(OPT_OUT_PER_SEND * sends), "exposure": 7 * rate,
                }
            )  # fmt: skip
    return {key: [row[key] for row in rows] for key in rows[0]}


def _curves(gains: dict[str, float]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"contender": [], "step": [], "value_eur": [], "low": [], "high": []}
    for who in ("linear Thompson", "MaskablePPO"):
        for step in range(0, 500_001, 50_000):
            value = 3.1 + gains[who] * (1 - math.exp(-step / 120_000))
            columns["contender"].append(who)
            columns["step"].append(step)
            columns["value_eur"].append(value)
            columns["low"].append(value - 0.04)
            columns["high"].append(value + 0.04)
    for who, level in (("oracle", 3.1 + 0.36), ("reference", 3.1 + gains[REFERENCE])):
        columns["contender"].append(who)
        columns["step"].append(None)
        columns["value_eur"].append(level)
        columns["low"].append(level - 0.01)
        columns["high"].append(level + 0.01)
    return columns


def _offline(gains: dict[str, float]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("policy", "estimator", "estimate", "low", "high", "truth", "truth_low", "truth_high", "refused")
    }
    for who in ("linear Thompson", "MaskablePPO"):
        truth = 3.1 + gains[who]
        for estimator, off, half in (("SNIPS", 0.12, 0.09), ("DR", 0.02, 0.06), ("MRDR", -0.01, 0.05), ("IPS", 0, 0)):
            is_refused = estimator == "IPS"
            row = (
                who, estimator, None if is_refused else truth + off, None if is_refused else truth + off - half,
                None if is_refused else truth + off + half, truth, truth - 0.02, truth + 0.02,
                "the weights' effective sample is 12 of 40,000" if is_refused else None,
            )  # fmt: skip
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return columns


CERTIFICATE = {
    "kind": "certificate",
    "version": 1,
    "in_words": "'rules' does as 'MaskablePPO' in 97.2 % of 41,000 states, and loses 0.011 EUR a user.",
    "teacher": "MaskablePPO",
    "student": "rules",
    "states": 41_000,
    "agreement": 0.972,
    "agreement_on_sends": 0.881,
    "value_lost_eur": {"mean": 0.011, "low_95": -0.002, "high_95": 0.024},
    "sends_teacher": 22.9,
    "sends_student": 22.1,
    "ineligible": 0,
    "risen": 0,
    "tried": 20_000,
}
