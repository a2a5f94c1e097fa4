"""What the ledger's files hold: tables, columns, codes, and the header that says what a folder's numbers mean.

Three tables, one folder each: `decisions` (one row a decision), `outcomes` (what followed, with its time) and
`endings` (what was seen when an episode ended, for whoever bootstraps there). Columns are flat and never null, so
that a query needs no unnesting: `SELECT avg(reward) FROM 'decisions/*.parquet' WHERE feature_push_opt_in = 1`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from policies import vocabulary
from policies.ledger.faults import LedgerError, did_you_mean

VERSION = 1
CHANNELS = ("push", "email", "in_app", "sms")
ELIGIBLE = "eligible"
NONE = -1  # no campaign, no channel: nothing was assigned, or nothing was sent

# Appended to, never reordered: files hold the words, batches the codes.
OUTCOME_KINDS = (
    "delivered",
    "failed",
    "expired",
    "opened",
    "clicked",
    "session",
    "conversion",
    "payment",
    "opt_out",
    "opt_in",
    "churn",
    "complaint",
    "survey",
)


@dataclass(frozen=True)
class Column:
    """One column, or one group of columns when there is one for each slot, action or feature.

    Attributes:
        name: of the field of a batch, and of the file's column where there is only one.
        dtype: NumPy's name of the type in a batch.
        meaning: unit, codes and law in words.
        each: "" for one value a row, or "slot", "action", "feature": shape (N, C), (N, A) or (N, K).
        stem: of a group's column names in the file: `probability` of `probability_slot0_push`.
        words: the codes of the batch are written as words: "reasons", "policy_hashes" or "kinds".
    """

    name: str
    dtype: str
    meaning: str
    each: str = ""
    stem: str = ""
    words: str = ""


@dataclass(frozen=True)
class Table:
    """One table: the name of its folder, and its columns in order."""

    name: str
    columns: tuple[Column, ...]


DECISIONS = Table(
    "decisions",
    (
        Column("decision_id", "uint64", "unique; outcomes refer to it"),
        Column("user_id", "uint64", "identity of the user"),
        Column("episode_id", "uint64", "unique for each stretch of one user's decisions"),
        Column("step", "uint32", "0, 1, ... within the episode"),
        Column("time_hours", "float64", "when the policy acted, hours since hour zero (UTC)"),
        Column("elapsed_hours", "float64", "hours since the episode's previous decision; 0 at the first"),
        Column("policy", "uint32", "content hash of the policy's document", stem="policy_hash", words="policy_hashes"),
        Column("luck_key", "uint64", "key of the random numbers that the choice was drawn with"),
        Column("candidates", "int16", "campaign in the slot, -1 when empty", each="slot", stem="candidate"),
        Column("eligible", "bool", "whether the action could be taken", each="action", stem="eligible"),
        Column("reasons", "uint8", "why not, or `eligible`", each="action", stem="reason", words="reasons"),
        Column("probabilities", "float64", "of the logging policy", each="action", stem="probability"),
        Column("action", "int16", "index of the action taken, 0 = no_send"),
        Column("propensity", "float64", "probability of the action taken, in (0, 1]"),
        Column("assigned_campaign", "int16", "what the policy asked for, -1 for nothing"),
        Column("assigned_channel", "int8", "0 push, 1 email, 2 in_app, 3 sms, -1 none"),
        Column("sent_campaign", "int16", "what was really dispatched, -1 for nothing (say, a refused budget)"),
        Column("sent_channel", "int8", "0 push, 1 email, 2 in_app, 3 sms, -1 none"),
        Column("features", "float32", "as the policy saw them, encoded", each="feature", stem="feature"),
        Column("reward", "float64", "booked until the next decision; NaN when it was not known yet"),
        Column("reward_nano_eur", "int64", "its money in nano-euros, exact; 0 when it was not known yet"),
        Column("terminated", "bool", "the user left before the next decision: nothing follows"),
        Column("truncated", "bool", "the log ends before the next decision: life goes on"),
    ),
)
OUTCOMES = Table(
    "outcomes",
    (
        Column("decision_id", "uint64", "the decision whose message led to it, else the user's last one before it"),
        Column("kind", "uint8", "what happened", stem="kind", words="kinds"),
        Column("time_hours", "float64", "when, hours since hour zero (UTC)"),
        Column("amount_nano_eur", "int64", "money that changed hands, nano-euros; 0 for none"),
        Column("is_attributed", "bool", "it came through the decision's own message"),
    ),
)
ENDINGS = Table(
    "endings",
    (
        Column("episode_id", "uint64", "the episode that ended"),
        Column("time_hours", "float64", "when, hours since hour zero (UTC)"),
        Column("elapsed_hours", "float64", "hours since the episode's last decision"),
        Column("features", "float32", "as the policy would have seen them", each="feature", stem="feature"),
    ),
)
TABLES = {table.name: table for table in (DECISIONS, OUTCOMES, ENDINGS)}


@dataclass(frozen=True)
class Header:
    """What the numbers of one ledger mean; written as `ledger.json`, and into every part.

    Attributes:
        n_slots: candidate slots C.
        reasons: the words of the suppression codes; the first is `eligible`.
        features: names of the features; empty for those of the vocabulary, shape (K,).
        actions: names of the actions, `no_send` first, the others `slotI.CHANNEL`, with more after another dot where
            there is more to choose; empty for those of the vocabulary, shape (A,).
        campaigns: names of the campaigns by number; empty when they are kept elsewhere.
        hour_zero: what hour 0 is: an ISO 8601 instant in UTC, or words for a simulated one.
        run: which run or service wrote it, in words.
    """

    n_slots: int
    reasons: tuple[str, ...]
    features: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    hour_zero: str = "a Monday, 00:00 UTC, simulated"
    run: str = ""

    def __post_init__(self) -> None:
        """Fill in the vocabulary's names and check the rest.

        Raises:
            LedgerError: with every fault found.
        """
        faults = []
        if not 1 <= self.n_slots <= 127:
            faults.append(f"header.n_slots: expected 1 to 127, got {self.n_slots}")
        else:
            object.__setattr__(self, "features", self.features or vocabulary.feature_names(self.n_slots))
            object.__setattr__(self, "actions", self.actions or vocabulary.action_names(self.n_slots))
        if self.reasons[:1] != (ELIGIBLE,):
            faults.append(f"header.reasons: expected {ELIGIBLE!r} first, got {self.reasons[:1]}")
        if len(self.reasons) > 256:
            faults.append(f"header.reasons: expected at most 256, got {len(self.reasons)}")
        for name in ("reasons", "features", "actions"):
            words = getattr(self, name)
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                faults.append(f"header.{name}: expected different names, got {', '.join(twice)} more than once")
        faults += self._faulty_actions()
        if faults:
            raise LedgerError(*faults)

    def _faulty_actions(self) -> list[str]:
        if self.actions[:1] != ("no_send",):
            return [f"header.actions: expected 'no_send' first, got {self.actions[:1]}"] if self.actions else []
        return [
            f"header.actions: expected slot0 to slot{self.n_slots - 1}, a dot and one of {', '.join(CHANNELS)}, "
            f"got {action!r}"
            for action in self.actions[1:]
            if _slot_and_channel(action, self.n_slots) is None
        ]

    def slots_and_channels(self) -> list[tuple[int, int]]:
        """Return slot and channel of each action, (-1, -1) for `no_send`; length A."""
        return [_slot_and_channel(action, self.n_slots) or (NONE, NONE) for action in self.actions]

    def width(self, column: Column) -> int:
        """Return how many columns of a file a column stands for."""
        return {"": 1, "slot": self.n_slots, "action": len(self.actions), "feature": len(self.features)}[column.each]

    def flat_names(self, column: Column) -> tuple[str, ...]:
        """Return the names of the file's columns that hold a column: `feature_slot0_relevance` and so on."""
        if not column.each:
            return (column.stem or column.name,)
        slots = tuple(f"slot{slot}" for slot in range(self.n_slots))
        parts = {"slot": slots, "action": self.actions, "feature": self.features}[column.each]
        return tuple(f"{column.stem}_{part.replace('.', '_')}" for part in parts)

    def words(self, column: Column) -> tuple[str, ...]:
        """Return the words that stand in a file for a column's codes; those of policies come with each batch."""
        return {"reasons": self.reasons, "kinds": OUTCOME_KINDS}.get(column.words, ())

    def to_json(self) -> str:
        """Return the text of `ledger.json`: the header, and what each column means."""
        tables = {
            table.name: {
                column.stem or column.name: {"each": column.each, "dtype": column.dtype, "meaning": column.meaning}
                for column in table.columns
            }
            for table in TABLES.values()
        }
        header = {"version": VERSION, **asdict(self), "channels": CHANNELS, "outcome_kinds": OUTCOME_KINDS}
        return json.dumps({**header, "tables": tables}, indent=2)

    @staticmethod
    def from_json(text: str, where: str) -> Header:
        """Read a header back.

        Args:
            text: of `ledger.json`.
            where: the file's name, for messages.

        Raises:
            LedgerError: not JSON, another version, an unknown or missing key, a value of the wrong type.
        """
        try:
            document = json.loads(text)
        except ValueError as fault:
            raise LedgerError(f"{where}: expected JSON, got {fault}") from None
        if not isinstance(document, dict) or document.get("version") != VERSION:
            got = document.get("version") if isinstance(document, dict) else type(document).__name__
            raise LedgerError(f"{where}: version: expected {VERSION}, got {got!r}")
        known = {field.name for field in fields(Header)}
        described = {"version", "channels", "outcome_kinds", "tables"}
        faults = [
            f"{where}: {key}: unknown key.{did_you_mean(key, known)}"
            for key in sorted(document.keys() - known - described)
        ]
        faults += [f"{where}: {key}: missing" for key in sorted(known - document.keys())]
        values: dict[str, Any] = {}
        for key in sorted(known & document.keys()):
            value = document[key]
            kind = {"n_slots": int, "hour_zero": str, "run": str}.get(key, list)
            is_sound = isinstance(value, kind) and not isinstance(value, bool)
            if not is_sound or (kind is list and not all(isinstance(word, str) for word in value)):
                expected = "a list of names" if kind is list else kind.__name__
                faults.append(f"{where}: {key}: expected {expected}, got {value!r}")
            values[key] = tuple(value) if isinstance(value, list) else value
        if faults:
            raise LedgerError(*faults)
        return Header(**values)


def _slot_and_channel(action: str, n_slots: int) -> tuple[int, int] | None:
    """Return (slot, channel) of an action's name, None when it names neither."""
    slot, _, rest = action.partition(".")
    number, channel = slot.removeprefix("slot"), rest.split(".")[0]
    if slot == number or not number.isdecimal() or int(number) >= n_slots or channel not in CHANNELS:
        return None
    return int(number), CHANNELS.index(channel)
