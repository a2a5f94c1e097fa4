"""`policies <- simulator`, `policies <- agents`, and all three `<- experiments`. Nothing else, and never back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.architecture.imports import PACKAGES, ROOT, Import, read_imports

MAY_IMPORT: dict[str, frozenset[str]] = {
    "policies": frozenset({"policies"}),
    "simulator": frozenset({"policies", "simulator"}),
    "agents": frozenset({"policies", "agents"}),
    "experiments": frozenset({"policies", "simulator", "agents", "experiments"}),
}
ROOMS = frozenset({*PACKAGES, "tests"})


def broken_arrows(imports: list[Import]) -> list[str]:
    return [
        f"{found.place}: {found.importer} must not import {found.top} (it imports {found.module})"
        for found in imports
        if found.top in ROOMS and found.top not in MAY_IMPORT[found.importer]
    ]


def weights_in_production(imports: list[Import]) -> list[str]:
    """What importing `policies` would load beyond the standard library; the service and batches are extras."""
    return [
        f"{found.place}: policies must not import {found.top} while it is imported itself"
        for found in imports
        if found.importer == "policies"
        and not found.file.startswith(("policies/service/", "policies/batch/"))
        and not found.is_lazy
        and found.top not in sys.stdlib_module_names
        and found.top not in ROOMS
    ]


def test_arrows_hold() -> None:
    imports = read_imports(ROOT)
    assert imports, "the reader found nothing to read"
    assert not broken_arrows(imports), "\n" + "\n".join(broken_arrows(imports))


def test_policies_stand_on_the_standard_library_alone() -> None:
    heavy = weights_in_production(read_imports(ROOT))
    assert not heavy, "\n" + "\n".join(heavy)


def made_up_tree(root: Path, file: str, source: str) -> list[Import]:
    for package in PACKAGES:
        (root / package).mkdir()
        (root / package / "__init__.py").touch()
    path = root / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return read_imports(root)


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("simulator/a.py", "import agents.ppo\n", "simulator/a.py:1: simulator must not import agents"),
        ("agents/a.py", "\nfrom simulator import fleet\n", "agents/a.py:2: agents must not import simulator"),
        ("policies/a.py", "def f():\n    import simulator\n", "policies/a.py:2: policies must not import simulator"),
        ("agents/a.py", "from experiments.cli import main\n", "agents/a.py:1: agents must not import experiments"),
        (
            "simulator/deep/a.py",
            "from ...agents import ppo\n",
            "simulator/deep/a.py:1: simulator must not",
        ),
        ("simulator/a.py", "from .. import agents\n", "simulator/a.py:1: simulator must not import agents"),
        (
            "agents/a.py",
            "import importlib\nimportlib.import_module('simulator.fleet')\n",
            "agents/a.py:2: agents must",
        ),
        ("experiments/a.py", "import tests.conftest\n", "experiments/a.py:1: experiments must not import tests"),
        ("simulator/a.py", "if TYPE_CHECKING:\n    import agents\n", "simulator/a.py:2: simulator must not"),
    ],
)
def test_a_broken_arrow_is_found(tmp_path: Path, file: str, source: str, fault: str) -> None:
    found = broken_arrows(made_up_tree(tmp_path, file, source))
    assert len(found) == 1
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("simulator/a.py", "import policies.features\nfrom . import b\nfrom .b import c\n"),
        ("agents/a.py", "from policies import decide\nimport numpy\n"),
        ("experiments/a.py", "import simulator, agents, policies\n"),
        ("simulator/deep/a.py", "from ..config import Scenario\n"),
    ],
)
def test_a_sound_arrow_passes(tmp_path: Path, file: str, source: str) -> None:
    assert broken_arrows(made_up_tree(tmp_path, file, source)) == []


@pytest.mark.parametrize(
    ("file", "source", "n_faults"),
    [
        ("policies/a.py", "import numpy\n", 1),
        ("policies/a.py", "class A:\n    import numpy\n", 1),
        ("policies/a.py", "def write():\n    import pyarrow\n", 0),
        ("policies/a.py", "import json, math\nfrom . import b\n", 0),
        ("policies/service/a.py", "import starlette\n", 0),
        ("policies/batch/a.py", "import numpy\n", 0),
    ],
)
def test_weight_in_production_is_found(tmp_path: Path, file: str, source: str, n_faults: int) -> None:
    assert len(weights_in_production(made_up_tree(tmp_path, file, source))) == n_faults
