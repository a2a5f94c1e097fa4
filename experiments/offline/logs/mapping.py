"""A column mapping: which columns of a team's own table hold what an evaluation needs. Data only, from a small YAML.

kind: log-mapping
action: {column: arm, names: [none, email]}
reward: spend
propensity: p
features: [recency, {column: channel, kind: category}]
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping as Map
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experiments.config import read_source
from experiments.config_messages import faults_of
from experiments.faults import ConfigError
from experiments.shipped import shipped_names, shipped_path
from experiments.yaml_source import override, read_yaml

FOLDER = "logs"  # of `configs`
Column = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ActionColumn(_Strict):
    """The column of actions.

    Attributes:
        column: its name.
        names: of all actions, in the order of their indices; empty: those that occur, sorted.
    """

    column: Column
    names: tuple[str, ...] = Field((), strict=False)


class EligibleList(_Strict):
    """A column that lists what could be done in each row.

    Attributes:
        column: its name.
        separator: between actions; "": every letter is one.
    """

    kind: Literal["list"] = "list"
    column: Column
    separator: str = ","


class Time(_Strict):
    """The column that says when.

    Attributes:
        column: its name.
        unit: of its numbers; `timestamp`: a date and time of the table's own type, or ISO 8601 as text.
    """

    column: Column
    unit: Literal["hours", "seconds", "days", "timestamp"] = "timestamp"


class Feature(_Strict):
    """A column that was known when a decision was made.

    Attributes:
        column: its name.
        kind: `number`, or `category`: one entry of 0 or 1 for each value that occurs.
    """

    column: Column
    kind: Literal["number", "category"] = "number"


class Episode(_Strict):
    """Which decisions follow each other.

    Attributes:
        column: of whose episode a row is; rows of an episode lie together, in the order of time.
        terminated: column that is true, or not 0, in an episode's last row where the user left after it; none: every
            episode goes on after the log.
    """

    column: Column
    terminated: Column | None = None


class LogMapping(_Strict):
    """Which column is what.

    Attributes:
        kind: says that this is a mapping.
        name: of the log, for titles.
        action: what was done; text: the column alone.
        reward: a number, or true and false.
        propensity: the probability with which it was done; none: to be estimated.
        probabilities: of each action, by action: a column, or a number where it was always the same; `uniform`: equal
            for all that is eligible, whatever digits the column of propensities was rounded to; empty: not known.
        eligible: what could be done: a list in a column, or a column of 0 and 1 by action; none: everything.
        user: whose decision it was; rows of one user are one cluster.
        time: when.
        features: what was known; text: a column of numbers.
        segments: columns by whose values support is told.
        episode: whose episode a row is, for an evaluation of whole episodes; text: the column alone.
        where: rows that are decisions, by column and value; the others are left out and counted. Empty: all.
    """

    kind: Literal["log-mapping"] = "log-mapping"
    name: str = ""
    action: Column | ActionColumn
    reward: Column
    propensity: Column | None = None
    probabilities: Literal["uniform"] | dict[str, Column | Share] = Field(default_factory=dict)
    eligible: EligibleList | dict[str, Column] | None = None
    user: Column | None = None
    time: Column | Time | None = None
    features: tuple[Column | Feature, ...] = Field((), strict=False)
    segments: tuple[Column, ...] = Field((), strict=False)
    episode: Column | Episode | None = None
    where: dict[str, str | bool | float] = Field(default_factory=dict)

    @property
    def action_column(self) -> ActionColumn:
        """The column of actions, however it was written."""
        return self.action if isinstance(self.action, ActionColumn) else ActionColumn(column=self.action)

    @property
    def probability_of(self) -> dict[str, str | float]:
        """Column or number of each action's probability, by action; empty where there is none."""
        return {} if self.probabilities == "uniform" else dict(self.probabilities)

    @property
    def time_column(self) -> Time | None:
        """The column of times, however it was written."""
        return Time(column=self.time) if isinstance(self.time, str) else self.time

    @property
    def episode_column(self) -> Episode | None:
        """`episode`, written out; none where rows are decisions by themselves."""
        return Episode(column=self.episode) if isinstance(self.episode, str) else self.episode

    @property
    def feature_columns(self) -> tuple[Feature, ...]:
        """The features, however they were written."""
        return tuple(Feature(column=each) if isinstance(each, str) else each for each in self.features)

    def columns(self) -> dict[str, str]:
        """Return where the mapping names each column that the table must have: `features.0` and the like."""
        found = {"action": self.action_column.column, "reward": self.reward}
        found |= {name: each for name in ("propensity", "user") if (each := getattr(self, name)) is not None}
        if (time := self.time_column) is not None:
            found["time"] = time.column
        if (episode := self.episode_column) is not None:
            found["episode"] = episode.column
            found |= {} if episode.terminated is None else {"episode.terminated": episode.terminated}
        found |= {f"probabilities.{name}": of for name, of in self.probability_of.items() if isinstance(of, str)}
        if isinstance(self.eligible, EligibleList):
            found["eligible"] = self.eligible.column
        elif self.eligible is not None:
            found |= {f"eligible.{action}": column for action, column in self.eligible.items()}
        found |= {f"features.{k}": feature.column for k, feature in enumerate(self.feature_columns)}
        found |= {f"segments.{k}": column for k, column in enumerate(self.segments)}
        return found | {f"where.{column}": column for column in self.where}


def load_mapping(source: str | os.PathLike[str], overrides: Map[str, object] | None = None) -> LogMapping:
    """Read a mapping and check it.

    Args:
        source: name of a mapping that comes with the package (`hillstrom`), or path of a YAML file.
        overrides: values by dotted path, written over it.

    Raises:
        ConfigError: with every fault.
    """
    _, text, label = read_source(source, mapping_path, "configs/logs")
    written = read_yaml(text, label)
    override(written, overrides or {}, "--set", is_merging=False)  # keys are actions and columns
    try:
        mapping = LogMapping.model_validate_json(json.dumps(written.tree))
    except ValidationError as error:
        raise ConfigError(written.faults + faults_of(error, LogMapping, written)) from None
    if written.faults:
        raise ConfigError(written.faults)
    return mapping


def mapping_names() -> tuple[str, ...]:
    """Return the names of the mappings that come with the package, in alphabetical order."""
    return shipped_names(FOLDER)


def mapping_path(name: str) -> Path:
    """Return the file of a mapping that comes with the package.

    Raises:
        ConfigError: there is none of that name; the message has the nearest.
    """
    return shipped_path(FOLDER, name, "mapping")


def mapping_schema() -> dict[str, Any]:
    """Return the JSON Schema, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **LogMapping.model_json_schema()}
