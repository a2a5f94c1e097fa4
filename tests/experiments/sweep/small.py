"""An experiment without learning that runs in a third of a second, and a sweep over it."""

from __future__ import annotations

from pathlib import Path

from policies.codec import write
from policies.document import Condition, Document, Rule, Rules, Send

BASE = """
kind: experiment
name: small
scenario: ecommerce
horizon_days: HORIZON
reference: silence
contenders:
  - {kind: silence, name: silence}
  - {kind: document, name: evening, path: evening.json}
evaluation: {n_users: USERS}
"""
SWEEP = """
kind: sweep
name: many
base: ./small.yaml
search:
  kind: random
  n: SETTINGS
  fields:
    settings.behaviour.fatigue.fatigue_hours: {low: 24.0, high: 240.0, log: true}
seeds: [1, 2, 3, 4]
"""
EVENING = Rules((Rule("evening", (Condition("local_hour", "==", 19.0),), Send(("push",), "first")),))


def written_sweep(folder: Path, n_settings: int, n_users: int = 256, horizon_days: int = 14) -> Path:
    """Write a sweep of n_settings, four seeds each, with its base beside it; return its path."""
    (folder / "evening.json").write_text(write(Document("evening", 4, EVENING)), encoding="utf-8")
    base = BASE.replace("USERS", str(n_users)).replace("HORIZON", str(horizon_days))
    (folder / "small.yaml").write_text(base, encoding="utf-8")
    path = folder / "sweep.yaml"
    path.write_text(SWEEP.replace("SETTINGS", str(n_settings)), encoding="utf-8")
    return path
