"""The files: what is written comes back, complete or not at all, and anyone can read it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from policies.ledger import (
    DECISIONS,
    OUTCOME_KINDS,
    Decisions,
    LedgerError,
    LedgerWriter,
    MissingExtraError,
    iterate_parts,
    parts,
    read_decisions,
    read_endings,
    read_header,
    read_outcomes,
)
from tests.architecture.imports import ROOT
from tests.policies import ledgers

HEADER = ledgers.header()


def written(folder: Path, n_rows: int = 1000, part_rows: int = 300, **changes: Any) -> Decisions:
    batch = ledgers.decisions(n_rows)
    with LedgerWriter(folder, HEADER, part_rows=part_rows, **changes) as writer:
        writer.write(batch)
        writer.write_outcomes(ledgers.outcomes(batch))
        writer.write_endings(ledgers.endings(batch))
    return batch


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    for name, values in vars(one).items():
        if isinstance(values, np.ndarray):
            assert values.dtype == getattr(other, name).dtype, name
            np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)


@pytest.mark.parametrize("n_slots", [1, 4, 20])
@pytest.mark.parametrize("compression", ["lz4", "none", "zstd"])
def test_all_columns_come_back(tmp_path: Path, n_slots: int, compression: str) -> None:
    batch = ledgers.decisions(700, n_slots)
    with LedgerWriter(tmp_path, ledgers.header(n_slots), part_rows=256, compression=compression) as writer:
        writer.write(batch.take(slice(0, 100)))
        writer.write(batch.take(slice(100, 700)))  # over two borders of parts
        writer.write_outcomes(ledgers.outcomes(batch))
        writer.write_endings(ledgers.endings(batch))
    back = read_decisions(tmp_path).decisions()
    order = [batch.policy_hashes[code] for code in batch.policy]
    assert [back.policy_hashes[code] for code in back.policy] == order
    same(batch, back if back.policy_hashes == batch.policy_hashes else renumbered(back, batch.policy_hashes))
    same(ledgers.outcomes(batch), read_outcomes(tmp_path).outcomes())
    same(ledgers.endings(batch), read_endings(tmp_path).endings())
    assert [path.name for path in parts.part_paths(tmp_path / "decisions")] == [
        f"part-00000{number}.parquet" for number in range(3)
    ]


def renumbered(batch: Decisions, hashes: tuple[str, ...]) -> Decisions:
    codes = np.array([hashes.index(word) for word in batch.policy_hashes], np.uint32)[batch.policy]
    columns = {column.name: getattr(batch, column.name) for column in DECISIONS.columns} | {"policy": codes}
    return Decisions(**columns, policy_hashes=hashes)


def test_the_callers_arrays_may_change_at_once(tmp_path: Path) -> None:
    """Vector environments hand out the same arrays again and again."""
    batch, kept = ledgers.decisions(500), ledgers.decisions(500)
    with LedgerWriter(tmp_path, HEADER, part_rows=500) as writer:
        writer.write(batch)
        for column in DECISIONS.columns:
            getattr(batch, column.name)[:] = 0
    same(kept, renumbered(read_decisions(tmp_path).decisions(), kept.policy_hashes))


def test_policies_of_several_batches_keep_their_hashes(tmp_path: Path) -> None:
    one, two = ledgers.decisions(50, run_key=1), ledgers.decisions(50, run_key=2)
    other = Decisions(**{c.name: getattr(two, c.name) for c in DECISIONS.columns}, policy_hashes=("c", "a" * 64))
    with LedgerWriter(tmp_path, HEADER, part_rows=30) as writer:
        writer.write(one)
        writer.write(other)
    back = read_decisions(tmp_path).decisions()
    words = [one.policy_hashes[c] for c in one.policy] + [other.policy_hashes[c] for c in other.policy]
    assert [back.policy_hashes[code] for code in back.policy] == words


def test_polars_reads_it_without_our_code(tmp_path: Path) -> None:
    batch = written(tmp_path)
    frame = pl.read_parquet(tmp_path / "decisions" / "*.parquet")
    np.testing.assert_array_equal(frame["feature_slot3_kind"].to_numpy(), batch.features[:, -1])
    np.testing.assert_array_equal(frame["probability_no_send"].to_numpy(), batch.probabilities[:, 0])
    words = [ledgers.REASONS[code] for code in batch.reasons[:, 1]]
    assert frame["reason_slot0_push"].cast(pl.String).to_list() == words


def test_duckdb_reads_it_without_our_code(tmp_path: Path) -> None:
    batch = written(tmp_path)
    files = f"'{tmp_path}/decisions/*.parquet'"
    query = f"SELECT count(*), sum(reward_nano_eur), avg(propensity) FROM {files} WHERE eligible_slot1_email"
    [(n_rows, nano, propensity)] = duckdb.connect().execute(query).fetchall()
    chosen = batch.eligible[:, 4]
    assert (n_rows, nano) == (chosen.sum(), batch.reward_nano_eur[chosen].sum())
    assert propensity == pytest.approx(batch.propensity[chosen].mean(), rel=1e-12)
    outcomes = f"'{tmp_path}/outcomes/*.parquet'"
    query = f"SELECT count(*) FROM {files} JOIN {outcomes} o USING (decision_id) WHERE o.kind = 'opened'"
    [(n_joined,)] = duckdb.connect().execute(query).fetchall()
    assert n_joined == (ledgers.outcomes(batch).kind == OUTCOME_KINDS.index("opened")).sum()


def test_pandas_reads_it_without_our_code(tmp_path: Path) -> None:
    batch = written(tmp_path)
    frame = pd.read_parquet(tmp_path / "decisions")
    assert frame.shape == (1000, len(pq.read_schema(tmp_path / "decisions" / "part-000000.parquet")))
    np.testing.assert_array_equal(frame["luck_key"], batch.luck_key)
    np.testing.assert_array_equal(frame.filter(regex="^feature_").to_numpy(), batch.features)
    assert frame.isna().sum().sum() == 0


def test_a_plain_frame_comes_from_arrow(tmp_path: Path) -> None:
    batch = written(tmp_path)
    rows = read_decisions(tmp_path, columns=["user_id", "features"])
    assert rows.arrow.to_pandas().shape == (1000, 58)
    frame = pl.from_arrow(rows.arrow)
    assert isinstance(frame, pl.DataFrame)
    np.testing.assert_array_equal(frame["user_id"].to_numpy(), batch.user_id)


def test_columns_may_be_named_one_by_one_or_by_group(tmp_path: Path) -> None:
    batch = written(tmp_path)
    rows = read_decisions(tmp_path, columns=["feature_tier", "probabilities", "action"])
    assert set(rows.arrays()) == {"probabilities", "action"}  # one feature alone is not the group
    np.testing.assert_array_equal(rows.arrays()["probabilities"], batch.probabilities)
    assert repr(rows) == "Rows(decisions: 1000 rows, 11 columns, 0 faults)"
    with pytest.raises(LedgerError, match=r"decisions: no column 'feature_teir'. Did you mean 'feature_tier'\?"):
        read_decisions(tmp_path, columns=["feature_teir"])
    with pytest.raises(LedgerError, match="decisions: expected all columns, these were not read: decision_id, user_id"):
        rows.decisions()


def test_parts_are_iterated_one_by_one(tmp_path: Path) -> None:
    batch = written(tmp_path)
    sizes = [len(rows) for rows in iterate_parts(tmp_path, columns=["reward"])]
    assert sizes == [300, 300, 300, 100]
    total = sum(rows.arrays()["reward"].sum() for rows in iterate_parts(tmp_path, columns=["reward"]))
    assert total == pytest.approx(batch.reward.sum())


def test_an_empty_ledger_reads_as_no_rows(tmp_path: Path) -> None:
    LedgerWriter(tmp_path, HEADER).close()
    assert len(read_decisions(tmp_path)) == 0
    back = read_decisions(tmp_path).decisions()
    assert back.features.shape == (0, 57)
    assert back.reasons.shape == (0, 9)


def test_going_on_continues_the_numbers(tmp_path: Path) -> None:
    batch = ledgers.decisions(400)
    for half in (slice(0, 200), slice(200, 400)):
        with LedgerWriter(tmp_path, HEADER, part_rows=100) as writer:
            writer.write(batch.take(half))
    assert [p.name[5:11] for p in parts.part_paths(tmp_path / "decisions")] == ["000000", "000001", "000002", "000003"]
    np.testing.assert_array_equal(read_decisions(tmp_path).arrays()["decision_id"], batch.decision_id)


def test_going_on_with_another_meaning_is_refused(tmp_path: Path) -> None:
    LedgerWriter(tmp_path, HEADER).close()
    with pytest.raises(
        LedgerError, match=r"ledger.json: hour_zero: this ledger has 'a Monday.*given '2026-01-05T00:00Z'"
    ):
        LedgerWriter(tmp_path, ledgers.header(hour_zero="2026-01-05T00:00Z"))


def test_two_writers_in_one_folder_lose_nothing(tmp_path: Path) -> None:
    """Shards: a number that another writer took is passed over, never overwritten."""
    one, two = ledgers.decisions(400, run_key=1), ledgers.decisions(400, run_key=2)
    first, second = (LedgerWriter(tmp_path, HEADER, part_rows=50) for _ in range(2))
    threads = [threading.Thread(target=w.write, args=(b,)) for w, b in ((first, one), (second, two))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first.close()
    second.close()
    assert [len(rows) for rows in iterate_parts(tmp_path)] == [50] * 16
    ids = read_decisions(tmp_path).arrays()["decision_id"]
    assert set(ids.tolist()) == {*one.decision_id.tolist(), *two.decision_id.tolist()}
    of_one = ids[np.isin(ids, one.decision_id)]
    np.testing.assert_array_equal(of_one, one.decision_id)  # each writer's rows keep their order


def test_without_hard_links_parts_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    batch = written(tmp_path)
    np.testing.assert_array_equal(read_decisions(tmp_path).arrays()["decision_id"], batch.decision_id)
    assert parts.leftovers(tmp_path / "decisions") == ()


def test_a_refused_batch_writes_nothing(tmp_path: Path) -> None:
    batch = ledgers.decisions(100)
    batch.reward[99] = np.inf
    with LedgerWriter(tmp_path, HEADER, part_rows=10) as writer, pytest.raises(LedgerError, match="row 99"):
        writer.write(batch)
    assert len(read_decisions(tmp_path)) == 0


def test_flush_puts_what_was_taken_on_the_disk(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path, HEADER) as writer:
        writer.write(ledgers.decisions(10))
        assert len(read_decisions(tmp_path)) == 0
        writer.flush()
        assert len(read_decisions(tmp_path)) == 10


def test_a_disk_that_fails_is_told_and_ends_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []

    def full_at_the_third(*arguments: Any, **settings: Any) -> None:
        writes.append(arguments)
        if len(writes) == 3:
            raise OSError(28, "No space left on device")
        original(*arguments, **settings)

    original = pq.write_table
    monkeypatch.setattr(pq, "write_table", full_at_the_third)
    writer = LedgerWriter(tmp_path, HEADER, part_rows=50, n_threads=1)
    writer.write(ledgers.decisions(250))
    with pytest.raises(
        LedgerError, match=r"decisions: a part could not be written, nor those after it: .*No space left"
    ):
        writer.flush()
    with pytest.raises(LedgerError, match="No space left"):
        writer.write(ledgers.decisions(250, run_key=2))
    with pytest.raises(LedgerError, match="No space left"):
        writer.close()
    assert len(read_decisions(tmp_path)) == 100, "the parts before it stand, none after it does"
    assert parts.leftovers(tmp_path / "decisions") == ()


WRITE_UNTIL_KILLED = """
import sys
from tests.policies import ledgers
from policies.ledger import LedgerWriter
writer = LedgerWriter(sys.argv[1], ledgers.header(), part_rows=2000)
for key in range(10**6):
    writer.write(ledgers.decisions(2000, run_key=key, seed=key))
"""


def test_a_killed_writer_loses_no_completed_part(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)], cwd=ROOT)
    decisions = tmp_path / "decisions"
    seen: list[Path] = []
    try:
        deadline = time.monotonic() + 60
        # Until some parts are complete and one is being written: killed in the middle of it.
        while len(seen) < 5 or not parts.leftovers(decisions):
            seen = parts.part_paths(decisions)
            assert time.monotonic() < deadline, "the child wrote nothing"
            assert child.poll() is None, "the child ended by itself"
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    (decisions / "part-00beef.tmp").write_bytes(b"PAR1 and the first half of a part")
    rows = read_decisions(tmp_path)
    assert rows.faults == ()
    assert decisions / "part-00beef.tmp" in rows.leftovers
    n_parts = len(parts.part_paths(decisions))
    assert n_parts >= len(seen) >= 5
    expected = np.concatenate([ledgers.decisions(2000, run_key=key, seed=key).decision_id for key in range(n_parts)])
    np.testing.assert_array_equal(rows.arrays()["decision_id"], expected)
    assert len(pl.read_parquet(decisions / "*.parquet")) == len(rows), "others pass the half-written file over too"
    with LedgerWriter(tmp_path, HEADER) as writer:
        writer.write(ledgers.decisions(10, run_key=10**7))
    assert len(read_decisions(tmp_path)) == len(rows) + 10


def damaged(folder: Path, change: Any) -> Path:
    path = parts.part_paths(folder / "decisions")[1]
    path.write_bytes(change(path.read_bytes()))
    return path


def flipped(at: int) -> Any:
    return lambda content: content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: b"no Parquet at all",
        flipped(20_000),
        flipped(-3_000),
        flipped(-6),
        flipped(1),
    ],
)
def test_a_damaged_part_is_named_and_the_others_are_kept(tmp_path: Path, change: Any) -> None:
    batch = written(tmp_path)
    damaged(tmp_path, change)
    with pytest.raises(LedgerError, match=r"^decisions/part-000001.parquet: "):
        read_decisions(tmp_path)
    rows = read_decisions(tmp_path, strict=False)
    assert len(rows.faults) == 1
    assert rows.faults[0].startswith("decisions/part-000001.parquet: ")
    np.testing.assert_array_equal(rows.arrays()["decision_id"], np.delete(batch.decision_id, slice(300, 600)))
    assert [len(r) for r in iterate_parts(tmp_path, strict=False)] == [300, 0, 300, 100]


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Also in page headers and in the footer, which the format's own checksums leave out."""
    with LedgerWriter(tmp_path, ledgers.header(1)) as writer:
        writer.write(ledgers.decisions(50, 1))
    [path] = parts.part_paths(tmp_path / "decisions")
    content = path.read_bytes()
    draw = np.random.default_rng(0)
    for at in [*range(12), *range(len(content) - 12, len(content)), *draw.integers(0, len(content), 300)]:
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << int(draw.integers(8))]) + content[at + 1 :])
        with pytest.raises(LedgerError, match=r"^decisions/part-000000.parquet: damaged"):
            read_decisions(tmp_path)
    path.write_bytes(content)
    assert len(read_decisions(tmp_path)) == 50


def test_a_part_of_another_ledger_is_named(tmp_path: Path) -> None:
    written(tmp_path / "one")
    with LedgerWriter(tmp_path / "two", ledgers.header(1)) as writer:
        writer.write(ledgers.decisions(10, 1))
    foreign = parts.part_paths(tmp_path / "two" / "decisions")[0]
    (tmp_path / "one" / "decisions" / "part-000004.parquet").write_bytes(foreign.read_bytes())
    with pytest.raises(LedgerError, match=r"part-000004.parquet: expected a column 'candidate_slot1', found none"):
        read_decisions(tmp_path / "one")


def test_a_part_that_is_gone_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    paths = parts.part_paths(tmp_path / "decisions")
    paths[1].unlink()
    with pytest.raises(LedgerError, match=r"^decisions/part-000001.parquet: missing, while later parts are there$"):
        read_decisions(tmp_path)
    assert len(read_decisions(tmp_path, strict=False).faults) == 1
    paths[2].unlink()
    with pytest.raises(LedgerError, match=r"part-000001.parquet: missing, and 1 more, while later parts are there$"):
        read_decisions(tmp_path)
    paths[0].unlink()  # the oldest may be cleared away
    assert len(read_decisions(tmp_path)) == 100


def test_a_ledger_whose_columns_were_described_in_other_words_is_read(tmp_path: Path) -> None:
    """What is written about columns may be bettered later; what they mean may not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policies.ledger.schema.TABLES", {})
        written(tmp_path)
    assert len(read_decisions(tmp_path)) == 1000


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path, HEADER)
    writer.close()
    writer.close()
    with pytest.raises(LedgerError, match="this writer is closed; another one may go on"):
        writer.write(ledgers.decisions(1))


def test_a_writer_that_was_never_closed_warns(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path, HEADER)
    writer.write(ledgers.decisions(3))
    with pytest.warns(ResourceWarning, match="a writer was not closed: 3 rows lost"):
        writer.__del__()
    writer.close()


def test_a_part_has_the_words_of_its_own_policies(tmp_path: Path) -> None:
    """An agent that learns has another hash after each update: no part carries those of all before."""
    with LedgerWriter(tmp_path, HEADER, part_rows=10) as writer:
        for key in range(5):
            batch = ledgers.decisions(10, run_key=key)
            writer.write(dataclasses.replace(batch, policy=batch.policy * 0, policy_hashes=(f"hash{key}",)))
    assert [rows.policy_hashes for rows in iterate_parts(tmp_path)] == [(f"hash{key}",) for key in range(5)]


def test_a_run_written_twice_is_noticed(tmp_path: Path) -> None:
    batch = ledgers.decisions(100)
    for _ in range(2):
        with LedgerWriter(tmp_path, HEADER) as writer:
            writer.write(batch)
    with pytest.raises(LedgerError, match=r"100 rows have the id of another, .* first: was a run written twice"):
        read_decisions(tmp_path)
    rows = read_decisions(tmp_path, strict=False)
    assert (len(rows), len(rows.faults)) == (200, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"version": 2}, "version: expected 1, got 2"),
        (lambda d: d | {"reasns": []}, "reasns: unknown key. Did you mean 'reasons'?"),
        (lambda d: {k: v for k, v in d.items() if k != "run"}, "run: missing"),
        (lambda d: d | {"n_slots": "4"}, "n_slots: expected int, got '4'"),
        (lambda d: d | {"features": [1]}, "features: expected a list of names, got"),
        (lambda d: [], "version: expected 1, got 'list'"),
    ],
)
def test_a_header_that_cannot_be_read_is_told(tmp_path: Path, change: Any, message: str) -> None:
    LedgerWriter(tmp_path, HEADER).close()
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(LedgerError) as caught:
        read_header(tmp_path)
    assert message in str(caught.value)


def test_a_header_says_what_the_columns_mean(tmp_path: Path) -> None:
    LedgerWriter(tmp_path, HEADER).close()
    document = json.loads((tmp_path / "ledger.json").read_text())
    assert document["tables"]["decisions"]["propensity"]["meaning"] == "probability of the action taken, in (0, 1]"
    assert document["actions"][:2] == ["no_send", "slot0.push"]
    assert read_header(tmp_path) == HEADER


def test_a_folder_without_a_ledger_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"expected the folder of a ledger, found no ledger.json in it"):
        read_decisions(tmp_path)


def test_policy_documents_lie_beside_their_decisions(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path, HEADER) as writer:
        writer.write_policy("a" * 64, '{"kind": "rules"}')
        with pytest.raises(LedgerError, match=r"policy_hash: expected letters, digits and hyphens, got '../x'"):
            writer.write_policy("../x", "{}")
    assert (tmp_path / "policies" / f"{'a' * 64}.json").read_text() == '{"kind": "rules"}'


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"part_rows": 0}, "part_rows: expected at least 1, got 0"),
        ({"n_threads": 0}, "n_threads: expected at least 1, got 0"),
        ({"compression": "lz5"}, r"compression: 'lz5' is not known. Did you mean 'lz4'\?"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        LedgerWriter(tmp_path, HEADER, **settings)


@pytest.mark.parametrize("library", ["pyarrow", "numpy"])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    message = r'The decision ledger needs \S+: pip install "kairos-notify\[ledger\]"'
    with pytest.raises(MissingExtraError, match=message):
        LedgerWriter(tmp_path, HEADER)
    with pytest.raises(MissingExtraError, match=message):
        read_decisions(tmp_path)
