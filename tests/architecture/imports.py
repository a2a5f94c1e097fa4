"""Read from source who imports whom, lazy and dynamic imports included; nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("policies", "simulator", "agents", "experiments")


@dataclass(frozen=True)
class Import:
    """One imported module, absolute, and where it stands."""

    file: str  # relative to the root, with forward slashes
    line: int
    module: str  # "simulator.config"
    is_lazy: bool  # inside a function: not run when the file is imported

    @property
    def importer(self) -> str:
        return self.file.split("/", 1)[0]

    @property
    def top(self) -> str:
        return self.module.split(".", 1)[0]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def python_files(root: Path, packages: tuple[str, ...] = PACKAGES) -> list[Path]:
    return [path for package in packages for path in sorted((root / package).rglob("*.py"))]


def read_imports(root: Path, packages: tuple[str, ...] = PACKAGES) -> list[Import]:
    return [found for path in python_files(root, packages) for found in _imports_of(path, root)]


def _imports_of(path: Path, root: Path) -> Iterator[Import]:
    file = path.relative_to(root).as_posix()
    package = path.relative_to(root).parent.parts

    def visit(node: ast.AST, is_lazy: bool) -> Iterator[Import]:
        for module in _modules_named_by(node, package):
            yield Import(file, getattr(node, "lineno", 0), module, is_lazy)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, is_lazy or is_function)

    yield from visit(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)), False)


def _modules_named_by(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=module, level=0):
            return [module or ""]
        case ast.ImportFrom(module=module, names=names, level=level):
            # `from .. import x` climbs one package for each dot after the first, perhaps out of its own package.
            base = package[: max(len(package) - level + 1, 0)]
            tails = [module] if module else [name.name for name in names]
            return [".".join((*base, tail)) for tail in tails]
        case ast.Call(func=ast.Name(id="__import__" | "import_module"), args=[ast.Constant(value=str(module)), *_]):
            return [module]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
            return [module]
    return []
