"""Configs that come with the package: a name means one thing, and asked for as another kind it is told what it is."""

from __future__ import annotations

import pytest

from experiments.cli import COMMANDS
from experiments.config_messages import COMMANDS as TAKEN_BY
from experiments.shipped import KINDS, shipped_names
from simulator.presets import preset_names
from tests.experiments.run.tiny import kairos


def test_names_that_come_with_the_package_are_of_one_kind() -> None:
    names = [*preset_names(), *(name for folder in KINDS if folder != "." for name in shipped_names(folder))]
    assert len(names) == len(set(names)) > 20
    assert set(COMMANDS) >= {TAKEN_BY[kind].split()[0] for kind, _ in KINDS.values()}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("run", "ecommerce"), "known: demo, quick. 'ecommerce' is a scenario, for kairos simulate.\n"),
        (("simulate", "quick"), "'quick' is an experiment, for kairos run.\n"),
        (("train", "quick-sweep"), "'quick-sweep' is a sweep, for kairos sweep.\n"),
        (("sweep", "quik-sweep"), "known: quick-sweep. Did you mean 'quick-sweep'?\n"),
    ],
)
def test_a_name_of_another_kind_is_told(command: tuple[str, ...], told: str) -> None:
    done = kairos(*command)
    assert done.exit_code == 1
    assert done.stderr.endswith(told)
