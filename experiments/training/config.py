"""A training, as data: which environment, which agent, how long, judged how.

`experiments.training.source` reads it from YAML. The agent's own section is its `Settings` (see `agents.kinds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, SerializeAsAny, model_validator

from agents.kinds import KINDS, Credit, is_bandit
from agents.settings import Settings
from simulator.config import MisfitError, Model
from simulator.config_fields import SlotName

Steps = Annotated[int, Field(ge=1, le=10**12)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what torch and SB3 take
Envs = Annotated[int, Field(ge=1, le=2**20)]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


# --------------------------------------------------------------------------------------------------------------- lenses


class ExpectedConversion(Model):
    """Pay orders at their expectation given the session: the same mean, less noise."""

    kind: Literal["expected_conversion"] = "expected_conversion"


class PaidParts(Model):
    """Pay a weighted sum of named parts instead of the reward, such as `{clicks: 1.0}`."""

    kind: Literal["reward_parts"] = "reward_parts"
    weights: dict[str, Weight]


class PotentialShaping(Model):
    """Add the change of a user's potential to the reward, by the agent's own discount."""

    kind: Literal["shaping"] = "shaping"
    channel_eur_per_day: dict[str, Weight] = Field({}, description="what a permitted channel earns a day; push, email")
    discount_rate_per_day: float = Field(0.001, gt=0, le=1, description="of the potential, a perpetuity")


class OverSilence(Model):
    """Take off what the same user brings under silence, by the agent's own discount: less noise, the same optimum."""

    kind: Literal["against_silence"] = "against_silence"


class PastSteps(Model):
    """Show the last observations and actions, too."""

    kind: Literal["history"] = "history"
    n: int = Field(ge=1, le=64, description="steps of the past")


class FixedNormalisation(Model):
    """Show each entry's range as [-1, 1], or its distance from a mean in standard deviations; by fixed numbers."""

    kind: Literal["normalisation"] = "normalisation"
    by: Literal["range", "pilot"] = Field(
        "range", description="pilot: mean and standard deviation among users who are sent something at random"
    )


class Oracle(Model):
    """Show the hidden state of the user: for upper bounds only."""

    kind: Literal["oracle"] = "oracle"


Lens = Annotated[
    ExpectedConversion | PaidParts | PotentialShaping | OverSilence | PastSteps | FixedNormalisation | Oracle,
    Field(discriminator="kind"),
]


# --------------------------------------------------------------------------------------------------------- environments


class UsersEnvironment(Model):
    """Users of a scenario, side by side, an episode each."""

    id: Literal["kairos/Notify-v0", "kairos/NotifyDaily-v0", "kairos/NotifyCandidates-v0"]
    scenario: str = Field(description="a preset's name, or a file's path; paths start at this file's folder")
    settings: dict[str, JsonValue] = Field({}, description="values written over the scenario, by dotted path")
    n_users: Envs = Field(1024, description="side by side")
    n_slots: int = Field(4, ge=1, le=64, description="candidates shown")
    horizon_days: int | None = Field(None, ge=1, le=36_500, description="of an episode; null: the scenario's")
    epoch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] | None = Field(None, description="null: the environment's own")
    trigger: Literal["clock", "event"] = "clock"
    most_wait_hours: int = Field(24, ge=1, le=744, description="between decisions, for trigger `event`")
    spread_hours: int = Field(0, ge=0, le=10**6, description="of silence before a user's first decision, at most")
    lenses: tuple[Lens, ...] = Field((), description="the first is nearest to the environment")


class ExactEnvironment(Model):
    """A small world whose optimum is known exactly."""

    id: Literal["kairos/ExactA-v0", "kairos/ExactB-v0", "kairos/ExactD-v0"]
    n_users: Envs = Field(256, description="copies side by side")
    max_steps: int | None = Field(None, ge=1, le=10**9, description="truncates an episode; null: never")
    reward: Literal["expected", "sampled"] | None = Field(None, description="null: the world's own")
    carry_over: float | None = Field(
        None,
        ge=0,
        le=100,
        description="ExactA only: multiplies what a send does to later ones; null: the world's own, 1",
    )

    @model_validator(mode="after")
    def _fits_the_world(self) -> Self:
        misfits: list[tuple[tuple[str | int, ...], str]] = []
        if self.max_steps is not None and self.id == "kairos/ExactB-v0":
            misfits.append((("max_steps",), "an episode of kairos/ExactB-v0 is one step; leave the key out"))
        if self.carry_over is not None and self.id != "kairos/ExactA-v0":
            misfits.append((("carry_over",), f"only kairos/ExactA-v0 has one, {self.id} has none; leave the key out"))
        if misfits:
            raise MisfitError(misfits)
        return self


Environment = Annotated[UsersEnvironment | ExactEnvironment, Field(discriminator="id")]


# ------------------------------------------------------------------------------------------------------------- training


class EvaluationSettings(Model):
    """Whom the policy is tried on; always the same users with the same luck. Exact worlds need none."""

    n_users: int = Field(1024, ge=2, le=2**20)
    seed: int = Field(
        1_000_000,
        ge=0,
        lt=2**62,
        description="of the users; choose it away from the training's own; in an experiment, "
        "where among users of its own they begin",
    )
    horizon_days: int | None = Field(None, ge=1, le=36_500, description="null: the training's")
    acts: Literal["best", "drawn"] = Field(
        "best",
        description="what is judged and exported: the best action, or one drawn by the policy's probabilities, as "
        "PPO's is made to be; of one that sends now and then, the best action is never to send",
    )


class Schedule(Model):
    """How long to train, and when to look."""

    n_steps: Steps = Field(description="decisions, over all users")
    evaluate_every: Steps = Field(description="decisions between evaluations of the greedy policy")
    report_every: Steps | None = Field(None, description="decisions learned at once; null: a tenth of the above")
    checkpoint_every: Steps | None = Field(None, description="null: with each evaluation only")
    patience: int | None = Field(None, ge=1, le=10**6, description="evaluations without a clear gain; null: never stop")
    least_gain_eur: float = Field(0.0, ge=0, le=1e6, description="per user; a clear gain is above it")
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def portion(self) -> int:
        """Decisions that are learned at once."""
        return self.report_every or max(1, self.evaluate_every // 10)


class TrainingConfig(Model):
    """One training."""

    kind: Literal["training"] = "training"
    name: SlotName
    title: str = ""
    seed: Seed = Field(1, description="of the training's users, first weights and exploration")
    environment: Environment
    agent: SerializeAsAny[Settings]
    credit: Credit | None = Field(None, description="bandits only: what a decision is credited with; null: its hour")
    training: Schedule

    @model_validator(mode="after")
    def _fits_its_agent(self) -> Self:
        if misfits := misfits_of_agent(self.agent, self.credit, getattr(self.environment, "lenses", ())):
            raise MisfitError(misfits)
        return self


def misfits_of_agent(
    agent: Settings, credit: Credit | None, lenses: Sequence[Lens]
) -> list[tuple[tuple[str | int, ...], str]]:
    """Return what does not fit an agent's kind, by path below the section that holds all of it."""
    kind = getattr(agent, "kind", None)  # a section of unknown kind is told of elsewhere
    if kind not in KINDS:
        return []
    if not is_bandit(kind):
        told = f"an agent of kind {kind!r} learns by its own discount; leave it out"
        return [] if credit is None else [(("credit",), told)]
    # Behind a normalisation entries are no features of the vocabulary, of which a bandit's arms are made.
    return [
        (("environment", "lenses", k), "bandits scale what they read themselves; leave it out")
        for k, lens in enumerate(lenses)
        if isinstance(lens, FixedNormalisation)
    ]


def config_class(agent: Any) -> type[TrainingConfig]:
    """Return the class of a config whose agent's section is of a certain type."""
    made: type[TrainingConfig] = type(
        "TrainingConfig", (TrainingConfig,), {"__annotations__": {"agent": agent}, "__module__": __name__}
    )
    return made
