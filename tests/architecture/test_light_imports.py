"""What start-up loads, measured in a fresh interpreter: production and `--help` must stay light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli import COMMANDS
from policies.codec import write
from policies.document import Document, Rules, Send
from tests.architecture.imports import ROOT

HEAVY = frozenset(
    {
        *("numpy", "numba", "llvmlite", "scipy", "matplotlib", "simpy", "gymnasium", "pydantic", "pyarrow"),
        *("torch", "stable_baselines3", "sb3_contrib", "ray", "starlette", "uvicorn", "msgspec", "psycopg"),
        *("minari", "obp", "duckdb", "polars", "pandas", "sklearn", "mlflow", "optuna", "onnx"),
    }
)


def modules_loaded_by(code: str, root: Path) -> set[str]:
    """Top-level modules that `code` loads in a fresh interpreter, beyond those that start-up itself loads.

    -I keeps the caller's folder and variables out; the root is put on the path by hand.
    """
    probe = "\n".join(
        (
            "import json, sys",
            f"sys.path.insert(0, {str(root)!r})",
            "before = set(sys.modules)",
            code,
            "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))",
        )
    )
    done = subprocess.run([sys.executable, "-I", "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(loaded)


def foreign(modules: set[str]) -> set[str]:
    return {name for name in modules if name not in sys.stdlib_module_names} - {"policies"}


HELP = """
import contextlib, io
from experiments.cli import main
sys.argv = ["kairos", "--help"]
page = io.StringIO()
with contextlib.redirect_stdout(page):
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, stop.code
assert "usage" in page.getvalue().lower(), page.getvalue()
"""


def test_importing_policies_loads_the_standard_library_only() -> None:
    assert foreign(modules_loaded_by("import policies", ROOT)) == set()


def test_importing_every_module_of_policies_loads_the_standard_library_only() -> None:
    files = sorted((ROOT / "policies").rglob("*.py"))
    paths = [path.relative_to(ROOT).with_suffix("") for path in files]
    extras = {"service", "batch"}
    modules = [".".join(path.parts).removesuffix(".__init__") for path in paths if not extras.intersection(path.parts)]
    assert "policies" in modules
    assert foreign(modules_loaded_by("\n".join(f"import {module}" for module in modules), ROOT)) == set()


def test_the_service_loads_its_own_extra_alone() -> None:
    """Neither NumPy nor a database's library nor the web server, which is loaded when it serves."""
    loaded = foreign(modules_loaded_by("import policies.service.server, policies.service.ledger_export", ROOT))
    assert loaded - {"typing_extensions"} == {"msgspec"}  # which looks whether it is there


def test_help_loads_nothing_heavy() -> None:
    assert modules_loaded_by(HELP, ROOT) & HEAVY == set()


COMMAND = """
import contextlib, io
from experiments.cli import main
with contextlib.redirect_stdout(io.StringIO()) as page:
    try:
        main({arguments!r}, prog_name="kairos")
    except SystemExit as stop:
        assert not stop.code, (stop.code, page.getvalue())
"""

# What each command may load of what is heavy; commands that simulate or learn load what they need, and are not here.
LIGHT_COMMANDS: dict[tuple[str, ...], set[str]] = {
    ("config", "check", "news"): {"pydantic"},
    ("config", "check", "quick"): {"pydantic"},  # an experiment, with a bandit in it
    ("config", "check", "users-maskable-ppo"): {"pydantic"},
    ("config", "show", "quick"): {"pydantic"},
    ("config", "check", "quick-sweep"): {"pydantic"},
    ("config", "check", "hillstrom"): {"pydantic"},
    ("config", "list"): {"pydantic"},
    ("config", "schema", "experiment"): {"pydantic"},
    ("results", "list", str(ROOT / "docs")): set(),
    **{(name, "--help"): set() for name in COMMANDS},
    **{("results", name, "--help"): set() for name in ("list", "show", "compare")},
    **{("policy", name, "--help"): set() for name in ("check", "show", "seal", "sign", "verify", "keys")},
    **{("plan-test", name, "--help"): set() for name in ("rate", "amount", "short-test")},
}


@pytest.mark.parametrize("arguments", LIGHT_COMMANDS, ids=" ".join)
def test_a_command_loads_only_what_it_needs(arguments: tuple[str, ...]) -> None:
    loaded = modules_loaded_by(COMMAND.format(arguments=list(arguments)), ROOT)
    assert loaded & HEAVY == LIGHT_COMMANDS[arguments]


@pytest.mark.parametrize("name", ["check", "show"])
def test_looking_at_a_policy_loads_nothing_heavy(name: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(write(Document("rested", 4, Rules((), Send(("push",))))), "utf-8")
    assert modules_loaded_by(COMMAND.format(arguments=["policy", name, str(path)]), ROOT) & HEAVY == set()


def test_registering_environments_loads_gymnasium_and_numpy_alone() -> None:
    """Ids lead to their classes by name: what these need is loaded by whoever makes one."""
    assert modules_loaded_by("import simulator.environments, simulator.exact", ROOT) & HEAVY == {"gymnasium", "numpy"}


def test_a_foreign_import_is_seen(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text("import json, click\n", encoding="utf-8")
    assert "click" in foreign(modules_loaded_by("import policies", tmp_path))


@pytest.mark.parametrize(("line", "heavy"), [("import numpy", {"numpy"}), ("import click", set())])
def test_a_heavy_help_is_seen(tmp_path: Path, line: str, heavy: set[str]) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").touch()
    (tmp_path / "experiments" / "cli.py").write_text(f"{line}\ndef main(): print('Usage: kairos')\n", encoding="utf-8")
    assert modules_loaded_by(HELP, tmp_path) & HEAVY == heavy
