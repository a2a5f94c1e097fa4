"""Each heavy library comes in by one door, so that replacing it, or doing without it, touches one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from tests.architecture.imports import PACKAGES, ROOT, Import, read_imports


@dataclass(frozen=True)
class Door:
    """Where a library may be imported."""

    libraries: tuple[str, ...]
    is_open_to: Callable[[PurePosixPath], bool]
    where: str


DOORS = (
    Door(
        ("numba", "llvmlite"),
        lambda path: str(path) in {"simulator/compiled.py", "agents/compiled.py"},
        "simulator/compiled.py and agents/compiled.py",
    ),
    Door(("simpy",), lambda path: str(path) == "simulator/events.py", "simulator/events.py"),
    Door(
        ("matplotlib",),
        lambda path: path.name == "plots.py" or "report" in path.parent.parts,
        "files named plots.py, or below a folder `report`",
    ),
    Door(
        ("torch", "stable_baselines3", "sb3_contrib"),
        lambda path: path.parts[0] == "agents" or path.parts[:3] == ("experiments", "offline", "learning"),
        "agents/ and experiments/offline/learning/",
    ),
    Door(("onnx",), lambda path: str(path) == "policies/exports/onnx_graph.py", "policies/exports/onnx_graph.py"),
    Door(("cryptography",), lambda path: str(path) == "policies/signature.py", "policies/signature.py"),
    Door(
        ("fastapi", "starlette", "uvicorn", "msgspec", "psycopg"),
        lambda path: path.parts[:2] == ("policies", "service"),
        "policies/service/",
    ),
)
ONE_FILE_ONLY = ("ray", "optuna", "mlflow")


def forced_doors(imports: list[Import]) -> list[str]:
    faults = [
        f"{found.place}: {found.top} is imported only in {door.where}"
        for door in DOORS
        for found in imports
        if found.top in door.libraries and not door.is_open_to(PurePosixPath(found.file))
    ]
    for library in ONE_FILE_ONLY:
        files = sorted({found.file for found in imports if found.top == library})
        if len(files) > 1:
            faults.append(f"{library} is imported in {len(files)} files, at most one may: {', '.join(files)}")
    return faults


def test_each_library_has_one_door() -> None:
    faults = forced_doors(read_imports(ROOT))
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"simulator/fleet.py": "from numba import njit\n"}, "simulator/fleet.py:1: numba is imported only in"),
        ({"agents/a.py": "def f():\n    import numba\n"}, "agents/a.py:2: numba is imported only in"),
        ({"simulator/fleet.py": "import simpy\n"}, "simulator/fleet.py:1: simpy is imported only in"),
        ({"experiments/cli.py": "import matplotlib.pyplot\n"}, "experiments/cli.py:1: matplotlib is imported only in"),
        ({"simulator/report.py": "import matplotlib\n"}, "simulator/report.py:1: matplotlib is imported only in"),
        ({"experiments/a.py": "import torch\n"}, "experiments/a.py:1: torch is imported only in agents/"),
        ({"policies/decide.py": "import starlette\n"}, "policies/decide.py:1: starlette is imported only in"),
        (
            {"experiments/serve.py": "import uvicorn\n"},
            "experiments/serve.py:1: uvicorn is imported only in",
        ),
        ({"agents/a.py": "import ray\n", "experiments/a.py": "import ray\n"}, "ray is imported in 2 files"),
    ],
)
def test_a_forced_door_is_found(tmp_path: Path, files: dict[str, str], fault: str) -> None:
    faults = forced_doors(made_up(tmp_path, files))
    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_the_doors_themselves_are_open(tmp_path: Path) -> None:
    files = {
        "simulator/compiled.py": "import numba\n",
        "simulator/events.py": "import simpy\n",
        "experiments/plots.py": "import matplotlib\n",
        "experiments/report/page.py": "import matplotlib\n",
        "agents/ppo.py": "import torch, stable_baselines3\n",
        "policies/service/http/app.py": "import msgspec, uvicorn\n",
        "policies/service/state/postgres_store.py": "import psycopg\n",
        "experiments/sweep.py": "import ray\nimport ray.tune\n",
    }
    assert forced_doors(made_up(tmp_path, files)) == []


def made_up(root: Path, files: dict[str, str]) -> list[Import]:
    for file, source in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return read_imports(root, PACKAGES)
