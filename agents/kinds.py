"""The one place where an agent's `kind` is written beside its settings and what trains it.

    settings = settings_class("linucb")(...)
    trainer = build_trainer(settings, env, seed=1)

A row names its classes by module, so that reading the config of one agent imports no other, and no torch for a bandit.
"""

from __future__ import annotations

import difflib
import math
from importlib import import_module
from typing import Any, NamedTuple

from agents.settings import Settings
from agents.trainer import Trainer


class Kind(NamedTuple):
    """Where an agent is written; each as `module:name`.

    Attributes:
        settings: the class of its config.
        trainer: a function or class that is called with (settings, env, seed), and returns a `Trainer`; env is a
            Gymnasium VectorEnv.
    """

    settings: str
    trainer: str


KINDS: dict[str, Kind] = {}


def settings_class(kind: str) -> type[Settings]:
    """Return the class of an agent's config.

    Raises:
        ValueError: there is no such kind; the message has the nearest.
        ModuleNotFoundError: the kind needs a library that is not installed; the message says how to install it.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"agent: kind: expected one of {', '.join(KINDS)}, got {kind!r}.{hint}")
    found: type[Settings] = _named(KINDS[kind].settings)
    return found


def build_trainer(settings: Settings, env: Any, seed: int) -> Trainer:
    """Return a trainer of the agent that a config describes, in an environment.

    Args:
        settings: whose `kind` is one of `KINDS`.
        env: a Gymnasium VectorEnv, not yet reset.
        seed: of all luck that is not the environment's own law.
    """
    made: Trainer = _named(KINDS[settings.kind].trainer)(settings, env, seed)  # type: ignore[attr-defined]
    return made


def discount_per_day(settings: Settings) -> float | None:
    """Return by what an agent discounts a day; None where it learns from windows of reward, or from single steps."""
    return getattr(settings, "discount_per_day", None)


def horizon_words(settings: Settings) -> str:
    """Return, as a sentence, how far ahead an agent looks.

    The horizon of a discount g a day is -1 / ln g days: the time constant of exp(-t / horizon) = g ** t, by when the
    weight of a euro has fallen to 1 / e.
    """
    discount = discount_per_day(settings)
    if discount is not None:
        if discount <= 0.0:
            return "Discount 0 a day: nothing after the present step counts."
        if discount >= 1.0:
            return "No discount: the learning horizon is the episode."
        return f"Discount {discount:g} a day: the learning horizon is {-1.0 / math.log(discount):.3g} days."
    window_hours = getattr(settings, "window_hours", None)
    if window_hours is not None:
        return f"No discount: a decision is credited with what is earned in the {window_hours:g} hours after it."
    return "No discount: a decision is credited with the reward of its own step."


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
