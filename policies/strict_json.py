"""Strict JSON: text to a tree, and typed access to that tree which collects every fault with its path.

A reader asks a `Node` for what it expects. What is wrong is noted, and the reader goes on with a harmless stand-in
(0.0, "", an empty list), so that one reading finds all faults; a tree with a fault is never turned into anything.

Bounds keep a hostile document from hanging the reader: its length, and the faults that are noted. Depth needs none of
its own: the parser refuses what nests deeper than Python's stack, and readers only descend where
they expect something.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

MAX_CHARACTERS = 16 * 2**20
MAX_FAULTS = 100  # each unknown name costs a search for the nearest known one
MAX_TEXT = 2_000


class Fault(NamedTuple):
    """What is wrong at one place.

    Attributes:
        path: `model.rules[2].when[0].feature`, or `document` for the whole.
        message: what was expected and what was got.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class DocumentError(ValueError):
    """A document that is refused, with every fault that was found.

    Attributes:
        source: what the document is called in the message.
        faults: at least one.
    """

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        super().__init__(source, tuple(faults))
        self.source = source
        self.faults = tuple(faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return f"{self.source}: {self.faults[0]}"
        more = ", and perhaps more" if len(self.faults) >= MAX_FAULTS else ""
        return "\n  ".join((f"{self.source}: {len(self.faults)} faults{more}:", *map(str, self.faults)))


class Faults(list[Fault]):
    """The faults of one reading, in the order in which they were met.

    Attributes:
        source: what the document is called in the message.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def note(self, path: str, message: str) -> None:
        """Note a fault.

        Raises:
            DocumentError: when it is one too many to go on.
        """
        self.append(Fault(path or "document", message))
        if len(self) >= MAX_FAULTS:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        """Refuse the document if anything was noted.

        Raises:
            DocumentError: with every fault.
        """
        if self:
            raise DocumentError(self.source, self)


class NotANumber(str):
    """A JSON number that no finite float can hold, as it was written: NaN, Infinity, 1e999."""

    __slots__ = ()


class JsonObject(dict[str, Any]):
    """A JSON object that remembers which keys came twice."""

    duplicates: tuple[str, ...] = ()


def parse(text: str | bytes, faults: Faults) -> Any:
    """Return the tree of a JSON text: None, booleans, numbers, `NotANumber`, text, lists and `JsonObject`.

    A text that is not JSON at all is one fault; what it returns then means nothing.
    """
    if len(text) > MAX_CHARACTERS:
        faults.note("", f"expected at most {MAX_CHARACTERS:,} characters, got {len(text):,}")
        return None
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            faults.note("", f"expected UTF-8, got byte 0x{text[error.start]:02x} at offset {error.start}")
            return None
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=NotANumber,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        faults.note("", f"expected JSON, got what is not at {place} ({error.msg})")
    except RecursionError:
        faults.note("", "expected a few levels of nesting, got more than the parser can hold")
    return None


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = JsonObject(pairs)
    if len(found) < len(pairs):
        found.duplicates = repeated([name for name, _ in pairs])
    return found


def repeated(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that come more than once."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return tuple(name for name, count in counts.items() if count > 1)


def _finite(text: str) -> float | NotANumber:
    number = float(text)
    return number if math.isfinite(number) else NotANumber(text)


def _whole(text: str) -> int | float | NotANumber:
    return int(text) if len(text) <= 15 else _finite(text)  # `int` takes quadratic time and refuses 4,300 digits


MISSING = object()


class Node:
    """One place of a tree: its value, its path, and where faults are noted.

    A place that is missing was already noted when it was looked for; every question to it is answered silently with
    the stand-in.
    """

    __slots__ = ("faults", "path", "value")

    def __init__(self, value: Any, faults: Faults, path: str = "") -> None:
        self.value = value
        self.path = path
        self.faults = faults

    @property
    def is_missing(self) -> bool:
        """Whether nothing stands here."""
        return self.value is MISSING

    def refuse(self, expected: str, known: Collection[str] = ()) -> None:
        """Note that something else was expected, with the nearest of the known names if the value is like one."""
        if not self.is_missing:
            hint = did_you_mean(self.value, known) if isinstance(self.value, str) else ""
            self.faults.note(self.path, f"expected {expected}, got {shown(self.value)}.{hint}".rstrip("."))

    def note(self, message: str) -> None:
        """Note a fault that is not about the value alone."""
        self.faults.note(self.path, message)

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Node]:
        """Return the fields of an object by name, all that are named here; those that lack are missing nodes."""
        known = (*required, *optional)
        if not isinstance(self.value, dict):
            self.refuse(f"an object with {', '.join(required)}")
            return {name: Node(MISSING, self.faults, self._below(name)) for name in known}
        for name in getattr(self.value, "duplicates", ()):
            self.faults.note(self._below(name), "expected once, got it more than once")
        for name in self.value:
            if name not in known:
                hint = did_you_mean(name, known)
                self.faults.note(self._below(name), f"unknown field; known: {', '.join(known)}.{hint}".rstrip("."))
        for name in required:
            if name not in self.value:
                self.faults.note(self._below(name), "missing")
        return {name: Node(self.value.get(name, MISSING), self.faults, self._below(name)) for name in known}

    def kind(self, kinds: Sequence[str]) -> str:
        """Return the field `kind` of an object, which tells how to read the others; "" when it is none of these."""
        if not isinstance(self.value, dict):
            self.refuse(f"an object of kind {one_of(kinds)}")
            return ""
        if "kind" not in self.value:
            self.faults.note(self._below("kind"), f"missing; expected {one_of(kinds)}")
            return ""
        return Node(self.value["kind"], self.faults, self._below("kind")).name(kinds)

    def mapping(self, at_most: int) -> dict[str, str]:
        """Return an object whose names are free and whose values are text."""
        if not isinstance(self.value, dict):
            self.refuse("an object of texts")
            return {}
        if len(self.value) > at_most:
            self.faults.note(self.path, f"expected at most {at_most} fields, got {len(self.value)}")
            return {}
        for name in getattr(self.value, "duplicates", ()):
            self.faults.note(self._below(name), "expected once, got it more than once")
        values = {name: Node(value, self.faults, self._below(name)).text() for name, value in self.value.items()}
        for name in values:
            Node(name, self.faults, self._below(name)).text()
        return values

    def items(self, at_least: int, at_most: int, what: str) -> list[Node]:
        """Return the entries of a list."""
        if not isinstance(self.value, list):
            self.refuse(f"a list of {what}")
            return []
        if not at_least <= len(self.value) <= at_most:
            many = f"{at_least}" if at_least == at_most else f"{at_least} to {at_most}"
            self.refuse(f"{many} {what}")
            return []
        return [Node(value, self.faults, f"{self.path}[{i}]") for i, value in enumerate(self.value)]

    def number(self, low: float = -math.inf, high: float = math.inf, *, is_low_open: bool = False) -> float:
        """Return a finite number within bounds; a boolean is none."""
        if not is_number(self.value):
            self.refuse("a finite number" if isinstance(self.value, NotANumber) else "a number")
            return 0.0
        value = _as_float(self.value)
        if not math.isfinite(value):
            self.refuse("a finite number")
            return 0.0
        if not low <= value <= high or (is_low_open and value == low):
            self.refuse(_range(low, high, is_low_open))
            return 0.0
        return value

    def whole(self, low: int, high: int) -> int:
        """Return a whole number within bounds, written without a fraction."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            self.refuse(f"a whole number from {low} to {high}")
            return low
        return self.value

    def numbers(self, n: int) -> tuple[float, ...]:
        """Return a list of n finite numbers."""
        if not isinstance(self.value, list) or len(self.value) != n:
            self.refuse(f"a list of {n} numbers")
            return (0.0,) * n
        if all(type(value) is float for value in self.value) and all(map(math.isfinite, self.value)):
            return tuple(self.value)  # the fast way: half a million weights pass here
        return tuple(node.number() for node in self.items(n, n, "numbers"))

    def flags(self, n: int) -> tuple[bool, ...]:
        """Return a list of n booleans."""
        if not isinstance(self.value, list) or len(self.value) != n:
            self.refuse(f"a list of {n} booleans")
            return (False,) * n
        for i, value in enumerate(self.value):
            if not isinstance(value, bool):
                Node(value, self.faults, f"{self.path}[{i}]").refuse("true or false")
        return tuple(value is True for value in self.value)

    def text(self, at_least: int = 0) -> str:
        """Return text of bounded length that UTF-8 can hold."""
        if not isinstance(self.value, str) or isinstance(self.value, NotANumber):
            self.refuse("text")
            return ""
        if not at_least <= len(self.value) <= MAX_TEXT:
            self.refuse(f"text of {at_least} to {MAX_TEXT} characters")
            return ""
        if any("\ud800" <= character <= "\udfff" for character in self.value):
            self.refuse("text without lone surrogates")
            return ""
        return self.value

    def name(self, known: Collection[str], what: str = "") -> str:
        """Return one of the known names; "" when it is none of them."""
        if isinstance(self.value, str) and self.value in known:
            return self.value
        self.refuse(what or one_of(known), known)
        return ""

    def _below(self, name: str) -> str:
        if not name.isidentifier() or len(name) > 40:
            return f"{self.path}[{shown(name)}]"
        return f"{self.path}.{name}" if self.path else name


def is_number(value: object) -> bool:
    """Return whether a value of a tree is a number; JSON's true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number from Python, not from a file
        return math.inf


def _range(low: float, high: float, is_low_open: bool) -> str:
    if math.isinf(high):
        return f"a number {'above' if is_low_open else 'of at least'} {low:g}"
    return f"a number in {'(' if is_low_open else '['}{low:g}, {high:g}]"


def one_of(names: Collection[str]) -> str:
    """Return names as a message lists them."""
    listed = ", ".join(names)
    return listed if len(names) == 1 else f"one of {listed}"


def shown(value: object) -> str:
    """Return a value as a message shows it: short, and in JSON's words."""
    match value:
        case None | bool():
            return json.dumps(value)
        case NotANumber():
            return value if len(value) <= 40 else f"{value[:40]}... ({len(value)} characters)"
        case str():
            short = json.dumps(value[:40])
            return short if len(value) <= 40 else f'{short[:-1]}..." ({len(value)} characters)'
        case int():
            return str(value) if abs(value) < 10**40 else "a whole number of more than 40 digits"
        case float():
            return repr(float(value))
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
    return f"a {type(value).__name__}"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest of the known names, or "" when none is near."""
    import difflib  # only a refusal pays for it

    near = difflib.get_close_matches(name[:64], known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
