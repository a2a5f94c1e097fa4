"""Every bound of every number, and a key too many at every level: the schema says what to break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.config import ConfigError, load_scenario, scenario_schema, scenario_tree

BOUNDS = {"minimum": (">=", -1), "exclusiveMinimum": (">", 0), "maximum": ("<=", 1), "exclusiveMaximum": ("<", 0)}
Violation = tuple[tuple[str | int, ...], float, str]


def full_tree() -> dict[str, Any]:
    """Return a scenario in which each model of the contract occurs."""
    tree = scenario_tree(load_scenario("ecommerce"))
    tree["gateway"]["outages"] = [{"start_hour": 1, "hours": 1}]
    return tree


def numbers(schema: dict[str, Any], tree: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the path and the JSON Schema of each constrained number in a tree."""
    root = scenario_schema()

    def walk(node: dict[str, Any], value: Any, here: tuple[str | int, ...]) -> Iterator[tuple[Any, Any]]:
        if "$ref" in node:
            node = root["$defs"][node["$ref"].rpartition("/")[2]]
        if "discriminator" in node:
            node = root["$defs"][node["discriminator"]["mapping"][value["kind"]].rpartition("/")[2]]
        for arm in node.get("anyOf", []):
            if arm.get("type") != "null" and (value is not None or "properties" not in arm):
                yield from walk(arm, value, here)
        if set(node) & set(BOUNDS):
            yield here, node
        for name, field in node.get("properties", {}).items():
            yield from walk(field, value[name], (*here, name))
        entries = value if isinstance(value, list) else []
        for index, entry in enumerate(entries):
            prefix = node.get("prefixItems")
            item = prefix[index] if prefix else node.get("items", {})
            yield from walk(item, entry, (*here, index))

    yield from walk(schema, tree, path)


def violations(low: bool) -> list[Violation]:
    """Return a violation of each lower (or upper) bound: path, value, and what the message must say."""
    found = []
    for path, node in numbers(scenario_schema(), full_tree()):
        for key in ("minimum", "exclusiveMinimum") if low else ("maximum", "exclusiveMaximum"):
            if key in node:
                sign, step = BOUNDS[key]
                bad = node[key] + step
                number = "a whole number" if node["type"] == "integer" else "a number"
                bound = int(node[key]) if float(node[key]).is_integer() else node[key]
                got = bad if node["type"] == "integer" else json.loads(json.dumps(bad))
                found.append((path, bad, f"expected {number} {sign} {bound}, got {got!r}"))
    return found


@pytest.mark.parametrize("low", [True, False], ids=["lower", "upper"])
def test_every_bound_of_every_number_is_told(low: bool, tmp_path: Path) -> None:
    """One file that breaks them all: the message of each names the path, the bound, the value and the line."""
    tree = full_tree()
    expected = {}
    for path, bad, message in violations(low):
        node: Any = tree
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = bad
        expected[".".join(map(str, path))] = message
    fields = {tuple(p for p in path if isinstance(p, str)) for path, _, _ in violations(low)}
    assert len(fields) >= (90 if low else 40), "the walk lost fields on its way"
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(file)
    assert {fault.path: fault.message for fault in caught.value.faults} == expected
    lines = file.read_text("utf-8").splitlines()
    for fault in caught.value.faults:
        assert fault.line is not None
        last = fault.path.rpartition(".")[2]
        assert lines[fault.line - 1].lstrip(" -").startswith(last if not last.isdigit() else "")


def test_a_key_too_many_is_told_at_every_level(tmp_path: Path) -> None:
    tree = full_tree()
    expected = set()

    def add(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                add(value, f"{path}{key}.")
            first = max(node, key=len)
            node[f"{first}x"] = 1
            expected.add((f"{path}{first}x", f"unknown key. Did you mean '{first}'?"))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                add(value, f"{path}{index}.")

    add(tree, "")
    assert len(expected) > 40
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(tree), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(file)
    assert {(fault.path, fault.message) for fault in caught.value.faults} == expected
