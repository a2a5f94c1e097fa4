"""The same table from a Ray cluster, with workers killed in the middle."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from tests.experiments.sweep.fake import TRIAL, in_process, sweep_of

pytest.importorskip("ray")
from experiments.sweep.ray_engine import run_on_ray
from experiments.sweep.sweep import run_sweep


@pytest.mark.filterwarnings("ignore")
def test_ray_ends_with_the_same_table_though_a_worker_dies(tmp_path: Path) -> None:
    trials = [{"x": k / 20} for k in range(20)] + [{"x": 0.99, "dies": "once"}, {"x": 0.98, "fails": True}]
    search = {"kind": "list", "trials": trials}
    (tmp_path / "here").mkdir()
    for seed in (1, 2):
        (tmp_path / "here" / f"died-once-{seed}").touch()  # in this process nothing may die
    here = run_sweep(sweep_of(tmp_path / "here" / "s", search), in_process)
    there = run_sweep(sweep_of(tmp_path / "there" / "s", search), partial(run_on_ray, trial=TRIAL, n_workers=2))
    assert len(list((tmp_path / "there").glob("died-once-*"))) == 2, "two workers were killed"
    assert (there.n_done, len(there.faults)) == (here.n_done, len(here.faults)) == (42, 2)
    assert (tmp_path / "here" / "s" / "table.parquet").read_bytes() == (
        tmp_path / "there" / "s" / "table.parquet"
    ).read_bytes()


def test_where_no_cluster_is() -> None:
    """Told soon: Ray itself would wait without an end."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"no Ray cluster at {address}: Connection refused"):
            list(run_on_ray([], TRIAL, 1, address))
    with pytest.raises(ConnectionError, match="expected HOST:PORT, `auto` or `local`, got 'head'"):
        list(run_on_ray([], TRIAL, 1, "head"))
