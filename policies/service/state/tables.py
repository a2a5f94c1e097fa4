"""The tables, and how an older state becomes a newer one: a list that only ever grows.

`{bytes}`, `{whole}` (64 bits) and `{keyed}` are what each database calls them. A state that is newer than this list is
refused: an older service must not write to it.
"""

from __future__ import annotations

# Each process counts in rows of its own, so that replicas never wait for each other's.
# Decisions are kept in the order of their ids, which is that of time; see `identity.decision_id`.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE users (user_key {bytes} PRIMARY KEY, record {bytes} NOT NULL, seen_ms {whole} NOT NULL){keyed};
    CREATE TABLE decisions (
        decision_id {whole} PRIMARY KEY, user_key {bytes} NOT NULL, at_ms {whole} NOT NULL, policy_hash TEXT NOT NULL,
        role TEXT NOT NULL, action INTEGER NOT NULL, campaign TEXT NOT NULL, channel INTEGER NOT NULL,
        propensity DOUBLE PRECISION NOT NULL, shadow_hash TEXT NOT NULL, shadow_action INTEGER NOT NULL,
        details {bytes} NOT NULL
    );
    CREATE INDEX decisions_of_users ON decisions (user_key, at_ms);
    CREATE TABLE outcomes (
        decision_id {whole} NOT NULL, user_key {bytes} NOT NULL, kind TEXT NOT NULL, at_ms {whole} NOT NULL,
        amount_nano_eur {whole} NOT NULL, PRIMARY KEY (decision_id, kind, at_ms)
    );
    CREATE INDEX outcomes_of_users ON outcomes (user_key);
    CREATE TABLE answers (
        answer_key {bytes} PRIMARY KEY, user_key {bytes} NOT NULL, body_hash {bytes} NOT NULL, answer {bytes} NOT NULL,
        at_ms {whole} NOT NULL
    ){keyed};
    CREATE INDEX answers_by_age ON answers (at_ms);
    CREATE INDEX answers_of_users ON answers (user_key);
    CREATE TABLE tallies (
        minute {whole} NOT NULL, process {whole} NOT NULL, policy_hash TEXT NOT NULL, campaign TEXT NOT NULL,
        what TEXT NOT NULL, n {whole} NOT NULL, PRIMARY KEY (minute, process, policy_hash, campaign, what)
    ){keyed};
    CREATE TABLE totals (
        process {whole} NOT NULL, policy_hash TEXT NOT NULL, what TEXT NOT NULL, n {whole} NOT NULL,
        PRIMARY KEY (process, policy_hash, what)
    ){keyed};
    CREATE TABLE notes (name TEXT PRIMARY KEY, content TEXT NOT NULL);
    CREATE TABLE documents (policy_hash TEXT PRIMARY KEY, content TEXT NOT NULL, added {whole} NOT NULL);
    """,
)

DECISION_COLUMNS = (
    "decision_id, user_key, at_ms, policy_hash, role, action, campaign, channel, propensity, shadow_hash, "
    "shadow_action, details"
)
OUTCOME_COLUMNS = "decision_id, user_key, kind, at_ms, amount_nano_eur"

SAVE_USER = (
    "INSERT INTO users (user_key, record, seen_ms) VALUES (?, ?, ?) "
    "ON CONFLICT (user_key) DO UPDATE SET record = excluded.record, seen_ms = excluded.seen_ms"
)
SAVE_DECISION = f"INSERT INTO decisions ({DECISION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SAVE_OUTCOME = f"INSERT INTO outcomes ({OUTCOME_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
SAVE_ANSWER = (
    "INSERT INTO answers (answer_key, user_key, body_hash, answer, at_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
SAVE_TALLY = (
    "INSERT INTO tallies (minute, process, policy_hash, campaign, what, n) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (minute, process, policy_hash, campaign, what) DO UPDATE SET n = tallies.n + excluded.n"
)
SAVE_TOTAL = (
    "INSERT INTO totals (process, policy_hash, what, n) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (process, policy_hash, what) DO UPDATE SET n = totals.n + excluded.n"
)
SAVE_NOTE = (
    "INSERT INTO notes (name, content) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET content = excluded.content"
)
SAVE_DOCUMENT = "INSERT INTO documents (policy_hash, content, added) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
