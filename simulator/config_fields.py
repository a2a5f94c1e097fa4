"""What a scenario's fields are made of: ranges, names, the strict base class, and faults between fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

N_CATEGORIES = 8

Probability = Annotated[float, Field(ge=0, le=1)]
# Wide enough for any app, narrow enough that no clock stands still and no sum of nano-euros overflows.
Hours = Annotated[float, Field(ge=0.05, le=1e12)]
Days = Annotated[float, Field(ge=1e-6, le=1e12)]
Shape = Annotated[float, Field(ge=0.01, le=1_000)]
Rate = Annotated[float, Field(gt=0, le=200)]
Gain = Annotated[float, Field(ge=0, le=100)]
Strength = Annotated[float, Field(ge=0, le=10)]
Logit = Annotated[float, Field(ge=-50, le=50)]
Euros = Annotated[float, Field(ge=0, le=10_000)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
HourOfDay = Annotated[float, Field(ge=0, le=24)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]
SlotName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]


class Model(BaseModel):
    """Strict, frozen, no unknown keys, no infinities: a fault is an error, never a guess."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class MisfitError(ValueError):
    """Fields that are fine one by one and do not fit together: every such place of one model, at once.

    Args:
        faults: pairs of a path below the model that raises (so that a reader can point at the line) and of what is
            wrong there; at least one.
    """

    def __init__(self, faults: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {what}" for path, what in self.faults))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest of the known names, or "" when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def names_used_twice(what: str, names: list[str]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return a fault for each entry of a list whose name an earlier entry bears.

    Args:
        what: the key of the list.
        names: of its entries, in order.
    """
    return [
        ((what, index, "name"), f"the name {name!r} is used twice; names must differ")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
