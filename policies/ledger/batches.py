"""Batches of rows as arrays, checked at the front door: what the writer takes and the reader gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policies.ledger.faults import LedgerError
from policies.ledger.schema import DECISIONS, ENDINGS, NONE, OUTCOME_KINDS, OUTCOMES, Column, Header, Table

Array = Any  # numpy.ndarray: `policies` is imported where NumPy is not
Batch = Any  # Decisions, Outcomes or Endings

SUM_TOLERANCE = 1e-5  # a float32 softmax over 200 actions is within 1e-6


@dataclass(frozen=True, repr=False, eq=False)
class Decisions:
    """N decisions; C slots, A actions, K features. `schema.DECISIONS` says what each column means.

    An action that was not eligible and is logged as a no-send is written as what it became: action 0, with the
    probability of everything that would have become a no-send (`fold_ineligible`), and `assigned_*` as it was asked.
    """

    decision_id: Array  # (N,) uint64
    user_id: Array  # (N,) uint64
    episode_id: Array  # (N,) uint64
    step: Array  # (N,) uint32
    time_hours: Array  # (N,) float64
    elapsed_hours: Array  # (N,) float64
    policy: Array  # (N,) uint32: index into policy_hashes
    luck_key: Array  # (N,) uint64
    candidates: Array  # (N, C) int16
    eligible: Array  # (N, A) bool
    reasons: Array  # (N, A) uint8
    probabilities: Array  # (N, A) float64
    action: Array  # (N,) int16
    propensity: Array  # (N,) float64
    assigned_campaign: Array  # (N,) int16
    assigned_channel: Array  # (N,) int8
    sent_campaign: Array  # (N,) int16
    sent_channel: Array  # (N,) int8
    features: Array  # (N, K) float32
    reward: Array  # (N,) float64
    reward_nano_eur: Array  # (N,) int64
    terminated: Array  # (N,) bool
    truncated: Array  # (N,) bool
    policy_hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.decision_id)

    def __repr__(self) -> str:
        return _shapes(self, DECISIONS)

    def take(self, rows: Array) -> Decisions:
        """Return some of the rows, chosen by a mask or by indices."""
        chosen = {column.name: getattr(self, column.name)[rows] for column in DECISIONS.columns}
        return Decisions(**chosen, policy_hashes=self.policy_hashes)

    @property
    def is_last(self) -> Array:
        """Whether the episode has no decision after this one, shape (N,)."""
        return self.terminated | self.truncated


@dataclass(frozen=True, repr=False, eq=False)
class Outcomes:
    """N outcomes; `schema.OUTCOMES` says what each column means. `kind` is an index into `OUTCOME_KINDS`."""

    decision_id: Array  # (N,) uint64
    kind: Array  # (N,) uint8
    time_hours: Array  # (N,) float64
    amount_nano_eur: Array  # (N,) int64
    is_attributed: Array  # (N,) bool

    def __len__(self) -> int:
        return len(self.decision_id)

    def __repr__(self) -> str:
        return _shapes(self, OUTCOMES)


@dataclass(frozen=True, repr=False, eq=False)
class Endings:
    """What was seen when N episodes ended; `schema.ENDINGS` says what each column means."""

    episode_id: Array  # (N,) uint64
    time_hours: Array  # (N,) float64
    elapsed_hours: Array  # (N,) float64
    features: Array  # (N, K) float32

    def __len__(self) -> int:
        return len(self.episode_id)

    def __repr__(self) -> str:
        return _shapes(self, ENDINGS)


def decision_ids(run_key: int, user_id: Array, number: Array) -> Array:
    """Return ids from run, user and the running number of the user's decision: the same in any shard or order.

    Within a run the map is one to one for user ids and numbers below 2 ** 32 (SplitMix64's finaliser, a bijection of
    64 bits, of `user << 32 | number`); ids of different runs meet with the chance of random numbers of 64 bits.

    Args:
        run_key: any 64 bits that name the run.
        user_id: shape (N,), whole numbers below 2 ** 32.
        number: 0, 1, ..., shape (N,), below 2 ** 32.

    Raises:
        LedgerError: a user id or number is out of range.

    Source: Steele, Lea & Flood (OOPSLA 2014); constants of Stafford's variant 13.
    """
    import numpy as np

    halves = []
    for name, values in (("user_id", np.asarray(user_id)), ("number", np.asarray(number))):
        if values.dtype.kind not in "iu" or (values.size and not 0 <= int(values.min()) <= int(values.max()) < 2**32):
            raise LedgerError(
                f"decision_ids: {name}: expected whole numbers from 0 to 2 ** 32 - 1, got {_span(values)}"
            )
        halves.append(values.astype(np.uint64))

    def mix(bits: Array) -> Array:
        bits = (bits ^ bits >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return bits ^ bits >> np.uint64(31)

    # The key is mixed first: under neighbouring keys as they stand, neighbouring decisions would share their ids.
    key = mix(np.array([run_key & (2**64 - 1)], np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return mix((halves[0] << np.uint64(32) | halves[1]) ^ key)


def fold_ineligible(probabilities: Array, eligible: Array, action: Array) -> tuple[Array, Array, Array]:
    """Return what a policy that may ask for ineligible actions really does, when such a wish becomes a no-send.

    All that it would have given to ineligible actions goes to action 0, which is what it takes in their place.

    Args:
        probabilities: as the policy reports them, shape (N, A).
        eligible: shape (N, A).
        action: as the policy chose, shape (N,).

    Returns:
        (probabilities, action, propensity) to be logged.
    """
    import numpy as np

    folded = np.where(eligible, probabilities, 0.0)
    folded[:, 0] += np.where(eligible, 0.0, probabilities).sum(axis=1)
    rows = np.arange(len(action))
    taken = np.where(eligible[rows, action], action, 0).astype(np.int16)
    return folded, taken, folded[rows, taken]


def checked(batch: Batch, table: Table, header: Header) -> dict[str, Array]:
    """Return a batch's arrays in the table's types, when every row is sound.

    Raises:
        LedgerError: every kind of fault found; of each, the first row, what was expected, what was got, and how many
            rows more. Wrong shapes and types are named before any row is looked at.
    """
    import numpy as np

    arrays, faults = {}, []
    n_rows = len(batch)
    for column in table.columns:
        values = np.asarray(getattr(batch, column.name))
        shape = (n_rows, header.width(column)) if column.each else (n_rows,)
        where = f"{table.name}.{column.name}"
        if values.shape != shape:
            faults.append(f"{where}: expected shape {shape}, got {values.shape}")
        if not _fits(values, column.dtype):
            faults.append(f"{where}: expected {column.dtype}, or what it can hold without loss, got {_span(values)}")
        arrays[column.name] = values
    if faults:
        raise LedgerError(*faults)
    arrays = {column.name: arrays[column.name].astype(column.dtype, copy=False) for column in table.columns}
    if n_rows:
        rules = _Rules(table, arrays)
        {"decisions": _check_decisions, "outcomes": _check_outcomes, "endings": _check_endings}[table.name](
            rules, batch, header
        )
        if rules.faults:
            raise LedgerError(*rules.faults)
    return arrays


class _Rules:
    """Rules over the rows of one batch; those that are broken are collected in `faults`."""

    def __init__(self, table: Table, arrays: dict[str, Array]) -> None:
        self.table, self.arrays = table, arrays
        self.faults: list[str] = []

    def hold(self, is_sound: Array, column: str, expected: str, got: Array = None) -> bool:
        """Note a fault when a rule is broken; return whether it holds everywhere.

        Args:
            is_sound: shape (N,) or (N, width).
            column: whose value is shown where the rule is broken.
            expected: in words.
            got: values to show in place of the column's.
        """
        if is_sound.all():
            return True
        import numpy as np

        broken = np.argwhere(~is_sound)
        at = tuple(int(index) for index in broken[0])
        values = self.arrays[column] if got is None else got
        key = self.table.columns[0].name
        place = f"row {at[0]} ({key} {self.arrays[key][at[0]]})" + (f", entry {at[1]}" if len(at) > 1 else "")
        n_more = len(set(broken[:, 0].tolist())) - 1
        more = f" ({n_more} more {'row' if n_more == 1 else 'rows'} like it)" if n_more else ""
        self.faults.append(f"{self.table.name}.{column}, {place}: expected {expected}, got {values[at]}{more}")
        return False


def _check_times(rules: _Rules) -> None:
    import numpy as np

    for column in ("time_hours", "elapsed_hours"):
        if column in rules.arrays:
            rules.hold(np.isfinite(rules.arrays[column]), column, "a finite number of hours")
    if "elapsed_hours" in rules.arrays:
        rules.hold(rules.arrays["elapsed_hours"] >= 0, "elapsed_hours", "hours >= 0")


def _check_features(rules: _Rules) -> None:
    """The features are most of a row: their sum is finite unless one is not, or they are huge; then look closer."""
    import numpy as np

    features = rules.arrays["features"]
    with np.errstate(over="ignore", invalid="ignore"):
        looks_sound = np.isfinite(features.sum())
    if not looks_sound:
        rules.hold(np.isfinite(features), "features", "a finite number")


def _check_decisions(rules: _Rules, batch: Batch, header: Header) -> None:
    import numpy as np

    a = rules.arrays
    ids = np.sort(a["decision_id"])
    if (ids[1:] == ids[:-1]).any():
        _, first = np.unique(a["decision_id"], return_index=True)
        is_first = np.zeros(len(ids), bool)
        is_first[first] = True
        rules.hold(is_first, "decision_id", "an id that no other row has")
    _check_times(rules)
    _check_features(rules)
    rules.hold(a["policy"] < len(batch.policy_hashes), "policy", f"an index below {len(batch.policy_hashes)}")

    eligible, probabilities = a["eligible"], a["probabilities"]
    rules.hold(eligible[:, 0], "eligible", "no_send (entry 0) to be eligible always", eligible[:, 0])
    known = rules.hold(a["reasons"] < len(header.reasons), "reasons", f"a code below {len(header.reasons)}")
    if known:
        rules.hold((a["reasons"] == 0) == eligible, "reasons", "0 for eligible actions and another code for the others")
    rules.hold(a["candidates"] >= NONE, "candidates", "a campaign, or -1 for an empty slot")
    pairs = np.array(header.slots_and_channels())
    slot, channel = pairs[:, 0], pairs[:, 1]
    # A last, empty column lets no_send's slot of -1 find its candidate: none.
    offered = np.column_stack((a["candidates"], np.full(len(eligible), NONE, np.int16)))[:, slot]
    rules.hold(~eligible[:, 1:] | (offered[:, 1:] >= 0), "eligible", "an action on an empty slot to be ineligible")

    in_range = (probabilities >= 0) & (probabilities <= 1)
    if rules.hold(in_range, "probabilities", "a probability in [0, 1]"):
        rules.hold(eligible | (probabilities == 0), "probabilities", "0 for an action that is not eligible")
        total = probabilities.sum(axis=1)
        rules.hold(abs(total - 1) <= SUM_TOLERANCE, "probabilities", "a sum of 1 over the eligible actions", total)

    action = a["action"]
    rules.hold((a["propensity"] > 0) & (a["propensity"] <= 1), "propensity", "a probability in (0, 1]")
    if rules.hold((action >= 0) & (action < len(header.actions)), "action", f"0 to {len(header.actions) - 1}"):
        rows = np.arange(len(action))
        rules.hold(eligible[rows, action], "action", "an eligible action (see fold_ineligible for a logged no-send)")
        own = probabilities[rows, action]
        rules.hold(a["propensity"] == own, "propensity", "the probability of the action taken")
        is_send = action > 0
        assigned = (a["assigned_campaign"] == offered[rows, action]) & (a["assigned_channel"] == channel[action])
        rules.hold(~is_send | assigned, "assigned_campaign", "the campaign and channel of the action taken")
        rules.hold(is_send | (a["sent_campaign"] == NONE), "sent_campaign", "-1 (nothing) under no_send")
    for kind in ("assigned", "sent"):
        campaign, sent_on = a[f"{kind}_campaign"], a[f"{kind}_channel"]
        rules.hold((campaign >= NONE) & (sent_on >= NONE), f"{kind}_campaign", "-1 or more, as its channel")
        rules.hold(sent_on < 4, f"{kind}_channel", "-1 to 3")
        rules.hold((campaign == NONE) == (sent_on == NONE), f"{kind}_channel", "-1 exactly where the campaign is -1")
    rules.hold(~np.isinf(a["reward"]), "reward", "a finite number, or NaN while it is not known")
    rules.hold(~np.isnan(a["reward"]) | (a["reward_nano_eur"] == 0), "reward_nano_eur", "0 where the reward is NaN")
    rules.hold(~(a["terminated"] & a["truncated"]), "truncated", "either terminated or truncated, not both")


def _check_outcomes(rules: _Rules, batch: Batch, header: Header) -> None:
    rules.hold(rules.arrays["kind"] < len(OUTCOME_KINDS), "kind", f"a code below {len(OUTCOME_KINDS)}")
    _check_times(rules)


def _check_endings(rules: _Rules, batch: Batch, header: Header) -> None:
    _check_times(rules)
    _check_features(rules)


def _fits(values: Array, dtype: str) -> bool:
    """Whether a type holds values without loss: by their type, or, of whole numbers, by their range."""
    import numpy as np

    if np.can_cast(values.dtype, dtype, "safe"):
        return True
    if values.dtype.kind not in "iu" or np.dtype(dtype).kind not in "iu":
        return False
    limits = np.iinfo(dtype)
    return not values.size or limits.min <= int(values.min()) <= int(values.max()) <= limits.max


def _span(values: Array) -> str:
    if values.dtype.kind not in "iuf" or not values.size:
        return str(values.dtype)
    return f"{values.dtype} from {values.min()} to {values.max()}"


def _shapes(batch: Batch, table: Table) -> str:
    def shape(column: Column) -> str:
        return f"{column.name} {tuple(getattr(getattr(batch, column.name), 'shape', ()))}"

    return f"{type(batch).__name__}({len(batch)} rows: {', '.join(shape(column) for column in table.columns)})"
