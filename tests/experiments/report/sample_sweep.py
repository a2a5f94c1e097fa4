"""A finished sweep's folder as `experiments.sweep` leaves it, whose effects are known: only for tests."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tests.experiments.report.sample_run import write_parquet

RATES = (0.0003, 0.001, 0.003)
LAYERS = ("small", "large")
CAPS = (2, 4)
POLICY, REFERENCE = "MaskablePPO", "frequency cap"


def gain(rate: float, layer: str, cap: int) -> float:
    """The true difference: the rate matters much, the layer a little, the cap only together with the layer."""
    return (
        0.2
        - 0.25 * abs(math.log10(rate / 0.001))
        + 0.03 * (layer == "large")
        + 0.04 * (-1.0) ** ((layer == "large") + (cap == 4))
    )


def sample_sweep(root: Path, *, n_seeds: int = 3, noise: float = 0.005, name: str = "rates") -> Path:
    """Write a sweep and return its folder."""
    folder = root / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    entries: list[dict[str, Any]] = []
    columns: dict[str, list[Any]] = {
        key: []
        for key in ("setting", "agent.learning_rate", "agent.layers", "constraints.cap", "seed", "policy", "kind",
                    "outcome", "unit", "mean", "standard_error", "low", "high", "difference", "difference_low",
                    "difference_high")
    }  # fmt: skip
    for number, (rate, layer, cap) in enumerate(product(RATES, LAYERS, CAPS)):
        overrides = {"agent.learning_rate": rate, "agent.layers": layer, "constraints.cap": cap}
        seeds = list(range(1, n_seeds + 1))
        entries.append({"number": number, "folder": f"{number:012x}", "overrides": overrides, "seeds": seeds})
        for seed in seeds:
            more = gain(rate, layer, cap) + noise * rng.standard_normal()
            for policy, change in ((REFERENCE, None), (POLICY, more)):
                mean = 3.0 + (change or 0.0)
                difference = [None] * 3 if change is None else [change, change - 0.02, change + 0.02]
                row = [number, rate, layer, cap, seed, policy, "", "value_eur", "EUR a user", mean, 0.01,
                       mean - 0.02, mean + 0.02, *difference]  # fmt: skip
                for key, value in zip(columns, row, strict=True):
                    columns[key].append(value)
    write_parquet(folder / "table.parquet", columns)
    (folder / "plan.json").write_text(json.dumps({"format": 1, "settings": entries}), "utf-8")
    (folder / "sweep.yaml").write_text(f"kind: sweep\nname: {name}\ntitle: Which learning rate\n", "utf-8")
    return folder
