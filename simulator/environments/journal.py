"""Whose the events are that a step wrote: a worker goes through its seats in order, and so do its journal's rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.records import Books, Ints, Records


def step_events(books: Books, bounds: Ints, ends: npt.NDArray[np.int64]) -> tuple[Records, npt.NDArray[np.int64]]:
    """Return the events of one step and the seats that they belong to, in the order of the seats.

    Args:
        books: one set a worker, emptied of events before the step.
        bounds: where each worker's seats begin and end, shape (workers + 1,).
        ends: how far the worker's journal was written after each seat's decision; 0 where a seat rested. Shape (U,).

    Returns:
        EVENT of shape (n,), and seats of shape (n,).

    Raises:
        RuntimeError: a worker's journal is full, so that events may be lost.
    """
    n_rows = books.journal.shape[1]
    events, seats = [], []
    for worker, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        used = int(books.journal_used[worker, 0])
        if used >= n_rows:
            raise RuntimeError(
                f"journal_rows: the journal of worker {worker} ({last - first} users) is full with {n_rows} events of "
                f"one step, and more may be lost; expected more room than a step's events, try {4 * n_rows}"
            )
        # A seat that rested writes nothing: its events end where those of the seat before it do.
        own_ends = np.maximum.accumulate(ends[first:last])
        events.append(books.journal[worker, :used])
        seats.append(first + np.searchsorted(own_ends, np.arange(used), side="right"))
    return np.concatenate(events), np.concatenate(seats)
