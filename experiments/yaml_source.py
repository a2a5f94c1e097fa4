"""YAML read as data, with the line of every key, and with YAML's traps closed.

The reader follows the scalars of YAML 1.2, not the 1.1 of PyYAML: `no` is text, `1e5` is a number, `010` and `1:30`
are text, dates are text until a field asks for a date. It refuses what would make a file say something other than
what it shows: a key written twice, NaN and infinities, anchors and tags.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from experiments.faults import ConfigError, Fault
from simulator.config import did_you_mean

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_EXACT_FLOAT = 2**53


@dataclass(frozen=True)
class Place:
    """Where a value was written: a file and a line counted from 1, or an option without a line."""

    file: str
    line: int | None


@dataclass
class Source:
    """A config as it was written, before anybody asked whether it makes sense.

    Attributes:
        file: as the caller named it.
        tree: mappings, lists, text, numbers, booleans and None.
        places: of each key and list entry, by path.
        faults: found while reading; the values to blame are None in the tree.
    """

    file: str
    tree: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: Path) -> Place:
        """Return where a path was written; for a key that is not there, where its nearest parent was."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(self.file, None)

    def fault(self, path: Path, message: str) -> Fault:
        """Return a fault at a path, with its place."""
        place = self.place(path)
        return Fault(place.file, place.line, dotted(path), message)


def dotted(path: Path) -> str:
    """Return a path as a person writes it: `campaigns.3.quality`."""
    return ".".join(map(str, path))


def read_yaml(text: str, file: str) -> Source:
    """Read one YAML document.

    Args:
        text: the document.
        file: how to call it in messages.

    Raises:
        ConfigError: the text is not YAML, or is empty. Other faults are collected in the source.
    """
    source = Source(file)
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise ConfigError([Fault(file, line, "", _syntax_message(error))]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character #x{ord(text[error.position]):04x} is not allowed in YAML"
        raise ConfigError([Fault(file, line, "", message)]) from None
    except RecursionError:
        raise ConfigError([Fault(file, None, "", "nested too deeply to be a config")]) from None
    if node is None:
        raise ConfigError([Fault(file, None, "", "the file is empty; expected a section (key: value lines)")])
    source.places[()] = Place(file, node.start_mark.line + 1)
    source.tree = _value(node, (), source)
    return source


def read_setting(text: str, option: str = "--set") -> tuple[str, Any]:
    """Split `path=value` and read the value as YAML, by the rules of a file.

    Raises:
        ConfigError: there is no `=`, or the value is not YAML.
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError([Fault(option, None, "", f"expected path=value, got {text!r}")])
    if not value.strip():
        return path, None
    try:
        source = read_yaml(value, option)
    except ConfigError as error:
        raise ConfigError(Fault(option, None, path, fault.message) for fault in error.faults) from None
    if source.faults:
        raise ConfigError(
            Fault(option, None, dotted((path, fault.path)) if fault.path else path, fault.message)
            for fault in source.faults
        )
    return path, source.tree


def override(source: Source, overrides: Mapping[str, object], option: str, *, is_merging: bool = True) -> None:
    """Write values over a source, each at its dotted path; entries of lists go by index or by name.

    A section over a section is written value by value, so that what it does not say stays as it is; one that says its
    `kind` is another thing, and takes the place of what was there. Sections that are not there are made. What cannot
    be written is added to the faults of the source.

    Args:
        is_merging: False: a section always takes the place of what was there, as where keys are names, not fields.
    """
    for text, value in overrides.items():
        is_section = isinstance(value, Mapping) and bool(value) and "kind" not in value
        if is_merging and is_section and isinstance(_at(source.tree, text), dict):
            assert isinstance(value, Mapping), "see above"
            override(source, {f"{text}.{key}": part for key, part in value.items()}, option)
            continue
        path = _resolve(source, text, option)
        if path is None:
            continue
        for old in [known for known in source.places if known[: len(path)] == path]:
            del source.places[old]
        source.places[path] = Place(option, None)
        node = source.tree
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = _plain(value, path, source)


def _at(node: Any, text: str) -> Any:
    """Return what stands at a dotted path; None where there is nothing."""
    for part in text.split("."):
        if isinstance(node, list):
            names = [entry.get("name") if isinstance(entry, dict) else None for entry in node]
            place = int(part) if part.isdecimal() else names.index(part) if part in names else len(node)
            node = node[place] if place < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _resolve(source: Source, text: str, option: str) -> Path | None:
    """Return the path of an override with the sections above it made, or None after noting a fault."""
    parts = text.split(".")
    node: Any = source.tree
    path: Path = ()
    for depth, part in enumerate(parts):
        is_last = depth == len(parts) - 1
        key: str | int = part
        problem = ""
        if isinstance(node, list):
            names = [entry.get("name") if isinstance(entry, dict) else None for entry in node]
            if part.isdecimal():
                key = int(part)
                problem = "" if key < len(node) else f"the list has {len(node)} entries, counted from 0"
            elif part in names:
                key = names.index(part)
            else:
                hint = did_you_mean(part, [name for name in names if isinstance(name, str)])
                problem = f"no entry of the list is named {part!r}.{hint}"
        elif not isinstance(node, dict):
            problem = f"{dotted(path) or source.file} is not a section, so it has no {part!r}"
        elif not is_last and node.get(part) is None:
            node[part] = {}
            source.places[(*path, part)] = Place(option, None)
        if problem:
            source.faults.append(Fault(option, None, text, problem))
            return None
        path = (*path, key)
        if not is_last:
            node = node[key]
    return path


def _plain(value: object, path: Path, source: Source) -> Any:
    """Return a Python value as a file would hold it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        source.faults.append(source.fault(path, f"expected a finite number, got {value!r}"))
        return None
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(part, (*path, str(key)), source) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, (*path, index), source) for index, part in enumerate(value)]
    kinds = "text, a number, true, false, null, a list or a section"
    source.faults.append(source.fault(path, f"expected {kinds}, got an object of type {type(value).__name__}"))
    return None


class _Unseen(yaml.MarkedYAMLError):
    """Valid YAML that makes a value come from somewhere else than where it stands."""


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses what a reader of the file could not see on the page."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs lack its type
        unseen = ""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            unseen = "anchors and aliases are not read; write the values out"
        elif getattr(event, "tag", None) is not None:
            unseen = "tags are not read; write the value without one"
        if unseen:
            raise _Unseen(problem=unseen, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


@lru_cache(maxsize=64)
def _compose(text: str) -> yaml.Node | None:
    """Return a text's nodes, which nobody changes; a sweep reads the same files for each of its settings."""
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if isinstance(error, _Unseen):
        return problem
    if "'\\t'" in problem:
        return "not valid YAML: a tab where only spaces may stand"
    return f"not valid YAML: {problem}"


def _value(node: yaml.Node, path: Path, source: Source) -> Any:
    """Return what a node says, noting places and faults on the way."""
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, source)
    if isinstance(node, yaml.SequenceNode):
        entries = []
        for index, entry in enumerate(node.value):
            source.places[(*path, index)] = Place(source.file, entry.start_mark.line + 1)
            entries.append(_value(entry, (*path, index), source))
        return entries
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, path, source)


def _mapping(node: yaml.MappingNode, path: Path, source: Source) -> dict[str, Any]:
    section: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            message = "expected a word as key, got a list or a section"
            source.faults.append(Fault(source.file, line, dotted(path), message))
            continue
        key = str(key_node.value)
        here = (*path, key)
        if key in section:
            message = f"duplicate key; it is on line {source.places[here].line} already"
            source.faults.append(Fault(source.file, line, dotted(here), message))
            continue
        source.places[here] = Place(source.file, line)
        section[key] = _value(value_node, here, source)
    return section


def _scalar(node: yaml.ScalarNode, path: Path, source: Source) -> str | int | float | bool | None:
    text = str(node.value)
    if node.style is not None:  # quoted, or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text) or (_NUMBER.fullmatch(text) and not math.isfinite(float(text))):
        source.faults.append(source.fault(path, f"expected a finite number, got {text}"))
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        # 1e5 is as good a count as 100000; 500.0 is not, because nobody writes a count with a decimal point.
        is_count = "." not in text and number.is_integer() and abs(number) < _EXACT_FLOAT
        return int(number) if is_count else number
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes text that either YAML 1.1 or the reader above would take for something else."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"(?:{_NUMBER.pattern})$"), list("-+.0123456789"))


def write_yaml(tree: object) -> str:
    """Return YAML that reads back as the same tree: keys in their order, short lists on one line."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)
