"""Read a ledger: whole tables or part by part, with every damaged part named and the others kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.ledger import parts
from policies.ledger.batches import Array, Decisions, Endings, Outcomes
from policies.ledger.faults import LedgerError, did_you_mean, need_arrow
from policies.ledger.schema import DECISIONS, ENDINGS, OUTCOMES, Column, Header, Table


@dataclass(frozen=True, repr=False)
class Rows:
    """Rows of one table as they were read.

    Attributes:
        arrow: a pyarrow.Table; `arrow.to_pandas()` and `polars.from_arrow(arrow)` are plain data frames.
        table: which table.
        header: what its numbers mean.
        faults: what is wrong with parts that are left out, one message each; always empty in strict reading.
        leftovers: temporary files in the folder: being written at that time, or left by a process that was killed.
    """

    arrow: Any
    table: Table
    header: Header
    faults: tuple[str, ...] = ()
    leftovers: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __repr__(self) -> str:
        n_columns, n_faults = len(self.arrow.column_names), len(self.faults)
        return f"Rows({self.table.name}: {len(self)} rows, {n_columns} columns, {n_faults} faults)"

    def arrays(self) -> dict[str, Array]:
        """Return the columns that were read as arrays of the batches' types.

        Shapes (N,), (N, C), (N, A) or (N, K) as `schema` says; words are codes again, but for `policy`, whose codes
        are those of `policy_hashes`. A group of columns is there when all of it was read.
        """
        import numpy as np

        read = set(self.arrow.column_names)
        found = {}
        for column in self.table.columns:
            names = self.header.flat_names(column)
            if not read.issuperset(names):
                continue
            if not column.each:
                found[column.name] = self._values(names[0], column)
                continue
            values = np.empty((len(self), len(names)), column.dtype)
            for index, name in enumerate(names):
                values[:, index] = self._values(name, column)
            found[column.name] = values
        return found

    @property
    def policy_hashes(self) -> tuple[str, ...]:
        """The hashes of the policies that decided, in the order of the codes of `policy`."""
        chunks = self.arrow.column("policy_hash").unify_dictionaries().chunks
        return tuple(chunks[0].dictionary.to_pylist()) if chunks else ()

    def decisions(self) -> Decisions:
        """Return the rows as a batch of decisions; all columns must have been read."""
        return Decisions(**self._all_columns_of(DECISIONS), policy_hashes=self.policy_hashes)

    def outcomes(self) -> Outcomes:
        """Return the rows as a batch of outcomes; all columns must have been read."""
        return Outcomes(**self._all_columns_of(OUTCOMES))

    def endings(self) -> Endings:
        """Return the rows as a batch of endings; all columns must have been read."""
        return Endings(**self._all_columns_of(ENDINGS))

    def _all_columns_of(self, table: Table) -> dict[str, Array]:
        if self.table is not table:
            raise LedgerError(f"expected rows of {table.name}, got {self.table.name}")
        found = self.arrays()
        missing = [column.name for column in table.columns if column.name not in found]
        if missing:
            raise LedgerError(f"{table.name}: expected all columns, these were not read: {', '.join(missing)}")
        return found

    def _values(self, name: str, column: Column) -> Array:
        import numpy as np

        if not column.words:
            return self.arrow.column(name).to_numpy()
        chunks = self.arrow.column(name).unify_dictionaries().chunks
        words = chunks[0].dictionary.to_pylist() if chunks else []
        known = words if column.words == "policy_hashes" else self.header.words(column)
        code_of = {word: code for code, word in enumerate(known)}
        strange = [word for word in words if word not in code_of]
        if strange:
            raise LedgerError(
                f"{self.table.name}.{name}: unknown word {strange[0]!r}.{did_you_mean(strange[0], known)}"
            )
        codes = np.array([code_of[word] for word in words], column.dtype)
        indices = [chunk.indices.to_numpy() for chunk in chunks if len(chunk)]
        return codes[np.concatenate(indices)] if indices else np.empty(0, column.dtype)


def read_header(folder: Path | str) -> Header:
    """Return what the numbers of a ledger mean.

    Raises:
        LedgerError: there is no ledger, or its header cannot be read.
    """
    path = Path(folder) / parts.HEADER_FILE
    if not path.is_file():
        raise LedgerError(f"{folder}: expected the folder of a ledger, found no {parts.HEADER_FILE} in it")
    return Header.from_json(path.read_text(encoding="utf-8"), str(path))


def read_decisions(folder: Path | str, columns: Sequence[str] | None = None, strict: bool = True) -> Rows:
    """Return a ledger's decisions.

    Args:
        folder: of the ledger.
        columns: names of the file's columns, or of whole groups (`features`, `probabilities`); None for all.
        strict: raise at the first damaged part and at an id that comes twice; otherwise damaged parts are left out and
            named in `faults`, as are ids that come twice, which stay in.

    Raises:
        LedgerError: no ledger, an unknown column, and in strict reading what is damaged, by file.
        MissingExtraError: pyarrow or numpy is not installed.
    """
    rows = _read(folder, DECISIONS, columns, strict)
    twice = _ids_that_come_twice(rows)
    if twice and strict:
        raise LedgerError(twice)
    return Rows(rows.arrow, rows.table, rows.header, (*rows.faults, *([twice] if twice else [])), rows.leftovers)


def read_outcomes(folder: Path | str, columns: Sequence[str] | None = None, strict: bool = True) -> Rows:
    """Return a ledger's outcomes; see `read_decisions`."""
    return _read(folder, OUTCOMES, columns, strict)


def read_endings(folder: Path | str, columns: Sequence[str] | None = None, strict: bool = True) -> Rows:
    """Return what was seen when a ledger's episodes ended; see `read_decisions`."""
    return _read(folder, ENDINGS, columns, strict)


def iterate_parts(
    folder: Path | str, table: Table = DECISIONS, columns: Sequence[str] | None = None, strict: bool = True
) -> Iterator[Rows]:
    """Yield a table part by part, for ledgers larger than memory; the parts that exist when it starts.

    A damaged part is raised, or, when not strict, yielded as no rows with its fault; so are parts that are missing.

    Raises:
        LedgerError, MissingExtraError: as `read_decisions`.
    """
    need_arrow()
    header = read_header(folder)
    names = _flat_names(columns, table, header)
    where = Path(folder) / table.name
    missing = parts.missing_parts(where)
    if missing and strict:
        raise LedgerError(missing)
    if missing:
        yield Rows(_no_rows(table, header, names), table, header, (missing,))
    for path in parts.part_paths(where):
        try:
            yield Rows(parts.read_part(path, table, header, names), table, header)
        except LedgerError as fault:
            if strict:
                raise
            yield Rows(_no_rows(table, header, names), table, header, fault.faults)


def _read(folder: Path | str, table: Table, columns: Sequence[str] | None, strict: bool) -> Rows:
    need_arrow()
    import pyarrow as pa

    found = list(iterate_parts(folder, table, columns, strict))
    header = read_header(folder)
    empty = _no_rows(table, header, _flat_names(columns, table, header))
    arrow = pa.concat_tables([empty, *(rows.arrow.replace_schema_metadata(None) for rows in found)])
    faults = tuple(fault for rows in found for fault in rows.faults)
    return Rows(arrow, table, header, faults, parts.leftovers(Path(folder) / table.name))


def _flat_names(columns: Sequence[str] | None, table: Table, header: Header) -> list[str] | None:
    if columns is None:
        return None
    groups = {column.name: header.flat_names(column) for column in table.columns}
    flat = {name for names in groups.values() for name in names}
    chosen: dict[str, None] = {}
    for asked in columns:
        if asked not in groups and asked not in flat:
            raise LedgerError(f"{table.name}: no column {asked!r}.{did_you_mean(asked, flat | groups.keys())}")
        chosen.update(dict.fromkeys(groups.get(asked, (asked,))))
    return list(chosen)


def _no_rows(table: Table, header: Header, names: list[str] | None) -> Any:
    empty = parts.arrow_schema(table, header).empty_table()
    return empty if names is None else empty.select(names)


def _ids_that_come_twice(rows: Rows) -> str:
    """Return a message about ids that several decisions share: most likely a run that was begun again."""
    import numpy as np

    if "decision_id" not in rows.arrow.column_names:
        return ""
    ids = np.sort(rows.arrow.column("decision_id").to_numpy())
    twice = ids[1:][ids[1:] == ids[:-1]]
    if not twice.size:
        return ""
    return (
        f"decisions.decision_id: {len(twice)} rows have the id of another, {twice[0]} first: was a run written twice?"
    )
