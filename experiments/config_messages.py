"""From pydantic's errors to faults: the line, the path a person would write, what was expected and what was got."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Union

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from experiments.faults import Fault
from experiments.yaml_source import Path, Source
from simulator.config import MisfitError, did_you_mean

_BOUNDS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_NEGATIONS = ("no", "off", "n", "false", "0")
_AFFIRMATIONS = ("yes", "on", "y", "true", "1")


# What takes a config, by its kind.
COMMANDS = {
    "scenario": "simulate",
    "experiment": "run",
    "sweep": "sweep",
    "training": "train",
    "log-mapping": "evaluate --mapping",
    "worlds": "robustness --worlds",
}


def faults_of(error: ValidationError, model: type[BaseModel], source: Source) -> list[Fault]:
    """Translate all that pydantic found wrong with a source; what the reader already refused is not said twice.

    Args:
        error: from validating `source.tree` against `model`, as JSON.
        model: the class of the whole config.
        source: tells the lines.
    """
    refused = {(fault.file, fault.path) for fault in source.faults}
    found = [
        source.fault(path, message)
        for details in error.errors(include_url=False)
        for path, message in _explain(details, _visit(model, details["loc"]))
    ]
    kind = source.tree.get("kind") if isinstance(source.tree, dict) else None
    of_another = [fault for fault in found if fault.path == "kind"] if isinstance(kind, str) else []
    if of_another and kind in COMMANDS:  # whatever else is wrong with it, it is so as something that it is not
        command = COMMANDS[kind]
        return [replace(fault, message=f"{fault.message}; kairos {command} takes it") for fault in of_another]
    return [fault for fault in found if (fault.file, fault.path) not in refused]


@dataclass(frozen=True)
class _Visit:
    """What lies at the end of an error's location: path without union tags, type there, type just above."""

    path: Path
    kind: Any
    parent: Any


def _visit(model: type[BaseModel], loc: tuple[str | int, ...]) -> _Visit:
    path: Path = ()
    kind: Any = model
    parent: Any = None
    for part in loc:
        arm = _arm(kind, part)
        if arm is not None:  # pydantic names the arm of a union; no such key is in the file
            kind = _bare(arm)
            continue
        path = (*path, part)
        parent, kind = kind, _child(kind, part)
    return _Visit(path, kind, parent)


def _bare(kind: Any) -> Any:
    """Return a type without `Annotated` and without `| None`."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    arms = [arm for arm in _arms(kind) if arm is not type(None)]
    return _bare(arms[0]) if len(arms) == 1 else kind


def _arms(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else ()


def _tags(arm: Any) -> tuple[str, ...]:
    """Return the values by which an arm of a union is told from the others: its tag, or of its `kind`, or its `id`."""
    if typing.get_origin(arm) is typing.Annotated:
        return tuple(part.tag for part in typing.get_args(arm)[1:] if isinstance(part, Tag))
    fields = getattr(arm, "model_fields", {})
    return next((typing.get_args(fields[name].annotation) for name in ("kind", "id") if name in fields), ())


def _arm(kind: Any, tag: str | int) -> Any:
    return next((arm for arm in _arms(kind) if tag in _tags(arm)), None)


def _child(kind: Any, part: str | int) -> Any:
    """Return the type of a field, of an entry of a list or of a section of any keys; None when there is none."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        known = kind.model_fields.get(str(part))
        return None if known is None else _bare(known.annotation)
    if typing.get_origin(kind) is tuple and isinstance(part, int):
        entries = typing.get_args(kind)
        return _bare(entries[0] if entries[-1] is Ellipsis else entries[min(part, len(entries) - 1)])
    if typing.get_origin(kind) is dict:
        return _bare(typing.get_args(kind)[1])
    return None


def _explain(details: ErrorDetails, at: _Visit) -> Iterator[tuple[Path, str]]:
    """Yield the path and the message of each fault in one of pydantic's errors."""
    code, given, context = details["type"], details["input"], details.get("ctx", {})
    got = f"got {_shown(given)}"
    number = "a whole number" if at.kind is int else "a number"
    match code:
        case "value_error" if isinstance(context["error"], MisfitError):
            for below, message in context["error"].faults:
                yield (*at.path, *below), message
        case "value_error":
            yield at.path, str(context["error"])
        case "extra_forbidden":
            yield at.path, f"unknown key.{did_you_mean(str(at.path[-1]), at.parent.model_fields)}"
        case "missing" if typing.get_origin(at.parent) is tuple:
            yield at.path[:-1], f"expected {len(typing.get_args(at.parent))} values, got {len(given)}"
        case "missing":
            yield at.path, "this key is missing and has no default"
        case "union_tag_invalid" | "union_tag_not_found":
            tags = [tag for arm in _arms(at.kind) for tag in _tags(arm)]
            key = context["discriminator"].strip("'")
            tag = given.get(key)
            said = "nothing" if code == "union_tag_not_found" else _shown(tag)
            hint = did_you_mean(str(tag), tags)
            yield (*at.path, key), f"expected one of {_listed(tags)}, got {said}.{hint}".rstrip(".")
        case "literal_error":
            choices = typing.get_args(at.kind)
            hint = did_you_mean(str(given), map(str, choices)) if isinstance(given, str) else ""
            yield at.path, f"expected {_one_of(choices)}, {got}" + (f".{hint}" if hint else "")
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            bound = next(context[key] for key in ("gt", "ge", "lt", "le") if key in context)
            yield at.path, f"expected {number} {_BOUNDS[code]} {_bound(bound)}, {got}"
        case "int_type" | "int_from_float" | "float_type" | "finite_number":
            yield at.path, f"expected {number}, {got}"
        case "bool_type":
            yield at.path, f"expected true or false, {got}" + _plain_yes_or_no(given)
        case "string_type":
            quote = "; put it in quotes" if isinstance(given, int | float) else ""
            yield at.path, f"expected text, {got}{quote}"
        case "string_pattern_mismatch":  # the only pattern is that of a name
            yield at.path, f"expected a name of lower-case letters, digits, - and _, {got}"
        case "string_too_long":
            yield at.path, f"expected at most {context['max_length']} characters, got {len(given)}"
        case "tuple_type":
            yield at.path, f"expected a list, {got}"
        case "too_long":
            entries = typing.get_args(at.kind)
            is_open = not entries or entries[-1] is Ellipsis
            expected = f"at most {context['max_length']} entries" if is_open else f"{len(entries)} values"
            yield at.path, f"expected {expected}, got {len(given)}"
        case "too_short":
            yield at.path, f"expected at least {context['min_length']} entries, got {len(given)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            yield at.path, f"expected a section (key: value lines), {got}"
        case _ if code.startswith("date"):
            yield at.path, f"expected a date such as 2026-01-05, {got}"
        case _:
            yield at.path, f"{details['msg']}, {got}"


def _shown(value: object) -> str:
    """Return a value as its file would show it, cut to a readable length."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a section"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else f"{text[:57]}..."


def _bound(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _listed(choices: typing.Iterable[object]) -> str:
    return ", ".join(repr(choice) for choice in choices)


def _one_of(choices: tuple[object, ...]) -> str:
    return f"one of {_listed(choices)}" if len(choices) > 1 else _listed(choices)


def _plain_yes_or_no(given: object) -> str:
    word = str(given).lower()
    if word in _NEGATIONS:
        return "; write false"
    return "; write true" if word in _AFFIRMATIONS else ""
