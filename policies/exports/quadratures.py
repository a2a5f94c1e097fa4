"""The quadratures of Thompson sampling, for a file that must do without Kairos: their own source, not another's.

A module of `policies` that imports only the standard library and other such modules is written out as it stands, less
its docstring and imports.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

from policies import best_of_betas, best_of_normals, legendre
from policies.document import BetaArms, Exploration, Model, Posterior, Thompson, parts_of


def quadrature_code(model: Model, exploration: Exploration) -> Iterator[str]:
    """Yield the source of the quadratures that a model needs, once, however many parts it has."""
    if parts_of(model):
        asked = [(part.model, part.exploration) for part in parts_of(model)]
    else:
        asked = [(model, exploration)]
    needed: list[ModuleType] = []
    for each, way in asked:
        if isinstance(way, Thompson):
            needed += [legendre, best_of_normals] if isinstance(each, Posterior) else []
            needed += [legendre, best_of_betas] if isinstance(each, BetaArms) else []
    for module in dict.fromkeys(needed):
        yield ""
        yield ""
        yield from body(module)


def body(module: ModuleType) -> list[str]:
    """Return a module's lines without its docstring and its imports."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    for node in reversed(ast.parse(source).body):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, ast.Import | ast.ImportFrom):
            assert node.end_lineno is not None
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip().splitlines()
