"""An experiment, as data: a question, a world, who contends in it, and how they are judged.

`experiments.run.source` reads it from YAML. An agent's own section is its `Settings` (see `agents.kinds`), and its
training is as in a training's config, less what all contenders share: the scenario and the slots.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, SerializeAsAny, model_validator

from agents.kinds import Credit
from agents.settings import Settings
from experiments.run.luck import MOST_LEARNED
from experiments.training.config import Envs, Lens, Schedule, misfits_of_agent
from simulator.config import MisfitError, Model, did_you_mean
from simulator.config_fields import SlotName

RANDOM = "random"  # who logs where no contender does
MOST_SEED = 4095  # a training takes seeds below 2**32, and each experiment has 2**20 of them
ExperimentSeed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Users = Annotated[int, Field(ge=2, le=2**20)]
Days = Annotated[int, Field(ge=1, le=36_500)]

# Names of `experiments.evaluation.tuned_baselines.KINDS`, without silence, which is a contender of its own, and of
# `experiments.offline`'s sequential catalogue: written out, because importing them compiles. A test holds both equal.
BaselineKind = Literal[
    "always", "random", "fixed_hour", "best_hour", "frequency_cap", "priority", "triggered_first", "expected_value",
    "uplift_t", "uplift_x", "survival", "volume",
]  # fmt: skip
EstimatorName = Literal[
    "trajectory_is", "weighted_trajectory_is", "per_decision_is", "weighted_per_decision_is", "sequential_dr",
    "weighted_dr", "marginalised_is", "fqe",
]  # fmt: skip
Form = Literal["document", "network", "python", "sql", "onnx", "tree", "rules", "scorecard"]


# ----------------------------------------------------------------------------------------------------------- contenders


class Silence(Model):
    """Sends nothing."""

    kind: Literal["silence"] = "silence"
    name: SlotName = "silence"


class TunedBaseline(Model):
    """A rule whose settings are chosen by whole lives, on users of its own; see `tuning`."""

    kind: Literal["baseline"] = "baseline"
    name: SlotName
    baseline: BaselineKind


class AgentEnvironment(Model):
    """What an agent learns in, beside the experiment's scenario."""

    n_users: Envs = Field(1024, description="side by side")
    epoch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] | None = Field(None, description="null: the scenario's own")
    trigger: Literal["clock", "event"] = "clock"
    most_wait_hours: int = Field(24, ge=1, le=744, description="between decisions, for trigger `event`")
    spread_hours: int = Field(0, ge=0, le=10**6, description="of silence before a user's first decision, at most")
    lenses: tuple[Lens, ...] = Field((), description="the first is nearest to the environment")


class TrainedAgent(Model):
    """An agent that learns; what takes part is the policy of its best evaluation, on users of the training's own."""

    kind: Literal["agent"] = "agent"
    name: SlotName
    environment: AgentEnvironment = AgentEnvironment()
    agent: SerializeAsAny[Settings]
    credit: Credit | None = Field(None, description="bandits only: what a decision is credited with; null: its hour")
    training: Schedule

    @property
    def is_oracle(self) -> bool:
        """Whether it is shown the hidden state of users, as nobody is who sends."""
        return any(lens.kind == "oracle" for lens in self.environment.lenses)

    @model_validator(mode="after")
    def _fits_its_agent(self) -> Self:
        if misfits := misfits_of_agent(self.agent, self.credit, self.environment.lenses):
            raise MisfitError(misfits)
        return self


class GivenDocument(Model):
    """A policy document."""

    kind: Literal["document"] = "document"
    name: SlotName
    path: str = Field(description="of its file; paths start at this file's folder")


Contender = Annotated[Silence | TunedBaseline | TrainedAgent | GivenDocument, Field(discriminator="kind")]


# ----------------------------------------------------------------------------------------------------------- judgement


class Tuning(Model):
    """How many users the search for baselines' settings may use."""

    first_users: Users = Field(128, description="whom every candidate meets")
    most_users: Users = Field(1024, description="whom the last candidates meet")
    pilot_users: Users = Field(4096, description="of the pilot at random that some baselines learn from")
    pilot_days: Days = 35
    send_prob: float = Field(0.03, gt=0, lt=1, description="of the pilot, an hour")
    volume_users: Users = Field(8192, description="of the pilot with volumes")
    volume_days: Days = 84

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first_users > self.most_users:
            told = f"expected at least first_users ({self.first_users}), got {self.most_users}"
            raise MisfitError([(("most_users",), told)])
        return self


class OnlineEvaluation(Model):
    """Whom all contenders meet: the same users with the same luck."""

    n_users: Users = 4096
    seed: int | None = Field(
        None, ge=0, lt=2**62, description="of the users; null: fresh ones for each seed of the experiment"
    )


class OfflineEvaluation(Model):
    """A log, and what it says of every contender, beside the truth."""

    log: str = Field(RANDOM, description="who makes it: a contender's name, or `random`")
    random_prob: float = Field(
        0.1, gt=0, le=1, description="of `random`: of taking any eligible action with equal chance, else none is sent"
    )
    n_users: Users = 1024
    horizon_days: Days | None = Field(None, description="of an episode; null: the experiment's")
    epoch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] | None = Field(None, description="null: the scenario's own")
    discount_per_day: float = Field(1.0, gt=0, le=1)
    estimators: tuple[EstimatorName, ...] | None = Field(None, description="null: all that there are for episodes")


class Exports(Model):
    """In which other forms a policy is written; tree, rules and scorecard come with a certificate."""

    forms: tuple[Form, ...] = ("python", "sql", "tree")
    contenders: tuple[SlotName, ...] | None = Field(None, description="whose; null: the best one's")
    leaves: int = Field(32, ge=2, le=250, description="of a distilled tree")
    depth: int = Field(6, ge=1, le=20, description="of a distilled tree")
    learn_users: int = Field(512, ge=2, le=MOST_LEARNED, description="whose states are learned from, a round")
    n_users: Users = Field(4096, description="of the certificate's trial")


class Robustness(Model):
    """Other worlds that every contender with a document is tried in, on the same users."""

    worlds: tuple[str, ...] | None = Field(None, description="by name, see `kairos config list`; null: all")
    n_users: Users = Field(1024, description="of each world")


class ExperimentConfig(Model):
    """One experiment."""

    kind: Literal["experiment"] = "experiment"
    name: SlotName
    title: str = ""
    question: str = Field("", description="that the experiment answers, as a sentence")
    seed: ExperimentSeed = Field(1, description="of all luck; each seed meets other users")
    scenario: str = Field(description="a preset's name, or a file's path; paths start at this file's folder")
    settings: dict[str, JsonValue] = Field({}, description="values written over the scenario, by dotted path")
    horizon_days: Days | None = Field(None, description="of a user's life; null: the scenario's")
    n_slots: int = Field(4, ge=1, le=64, description="candidates shown")
    contenders: Annotated[tuple[Contender, ...], Field(min_length=1, max_length=64)]
    reference: SlotName = Field(description="the contender that the others are held against")
    tuning: Tuning = Tuning()
    evaluation: OnlineEvaluation = OnlineEvaluation()
    offline: OfflineEvaluation | None = None
    exports: Exports | None = None
    robustness: Robustness | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [contender.name for contender in self.contenders]
        misfits: list[tuple[tuple[str | int, ...], str]] = [
            (("contenders", place, "name"), f"{name!r} is taken by contenders.{names.index(name)}")
            for place, name in enumerate(names)
            if name in names[:place]
        ]
        asked: list[tuple[tuple[str | int, ...], str, list[str]]] = [(("reference",), self.reference, names)]
        if self.offline is not None:
            asked.append((("offline", "log"), self.offline.log, [RANDOM, *names]))
        if self.exports is not None and self.exports.contenders is not None:
            asked += [(("exports", "contenders", k), name, names) for k, name in enumerate(self.exports.contenders)]
        misfits += [
            (path, f"expected one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}".rstrip("."))
            for path, name, known in asked
            if name not in known
        ]
        if misfits:
            raise MisfitError(misfits)
        return self


def experiment_class(agent: Any) -> type[ExperimentConfig]:
    """Return the class of a config whose agents' sections are of a certain type."""
    trained = type("TrainedAgent", (TrainedAgent,), {"__annotations__": {"agent": agent}, "__module__": __name__})
    entry = Annotated[Silence | TunedBaseline | trained | GivenDocument, Field(discriminator="kind")]  # type: ignore[valid-type]
    entries = Annotated[tuple[entry, ...], Field(min_length=1, max_length=64)]
    made: type[ExperimentConfig] = type(
        "ExperimentConfig", (ExperimentConfig,), {"__annotations__": {"contenders": entries}, "__module__": __name__}
    )
    return made
