"""One user an episode: the environments by their ids, as data sheets. Each is a thin view of the vector form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt

from simulator.config import Scenario
from simulator.environments.specification import PlainSpec
from simulator.environments.vector import Infos, NotifyVectorEnv


class NotifyEnv(gymnasium.Env[npt.NDArray[np.float32], np.int64]):
    """One user, decided for hour by hour: whom to leave alone, and whom to send which campaign on which channel.

    ## Description

    A user of an app opens it unasked by its own rhythm; a message may bring it in, remind it of the app, tire it, make
    it withdraw a permission or leave for good. The sender sees what a production system would see: its own sends, the
    user's sessions, opens and orders, permissions as far as they are known; never fatigue, irritation or interest.

    ## Action space

    `Discrete(1 + 2 C)`, masked; C = 4 candidate slots by default.

    | num | action |
    |---|---|
    | 0 | `no_send`, always allowed |
    | 1 + 2 s | the candidate in slot s by push |
    | 2 + 2 s | the candidate in slot s by e-mail |

    Slots hold the campaigns that window, trigger, audience and the user's wishes allow: transactional before triggered
    before scheduled, then by estimated interest and urgency. A slot may be empty. Campaigns with a budget of their own
    are left out, because a budget is shared: see `kairos/Population-v0`. An action that consent, caps, gap or quiet
    hours rule out is masked; taking it raises, or is carried out as `no_send` and told (`on_ineligible`).

    ## Observation space

    `Box(29 + 7 C,)`, float32, finite: the features of `policies.vocabulary`, the user's first, then each slot's.

    | num | feature | unit | min | max |
    |---|---|---|---|---|
    | 0, 1 | local_hour_sin, local_hour_cos | | -1 | 1 |
    | 2 | is_weekend | | 0 | 1 |
    | 3 | season_index | | 0 (.5) | 3 |
    | 4 | days_to_quiet | days | 0 | 1 |
    | 5 | hours_since_session | ln(1 + h) | 0 | 9 |
    | 6, 7, 8 | sessions_1d, sessions_7d, sessions_30d | ln(1 + active hours) | 0 | 7 |
    | 9 | own_hour_share | | 0 | .5 |
    | 10 | tenure_days | ln(1 + d) | 0 | 8 |
    | 11 | pushes_1d | sends | 0 | 10 |
    | 12 | pushes_7d | sends | 0 | 32 |
    | 13 | send_load | sends | 0 | 40 |
    | 14 | hours_since_send | ln(1 + h) | 0 | 9 |
    | 15, 16 | push_open_rate, email_open_rate | | 0 | 1 |
    | 17 | unopened | sends | 0 | 50 |
    | 18, 19 | push_opt_in, email_opt_in | | 0 | 1 |
    | 20 | unread | sends | 0 | 4 |
    | 21 | conversions_90d | ln(1 + orders) | 0 | 4 |
    | 22 | hours_since_conversion | ln(1 + h) | 0 | 9 |
    | 23 | tier | | 0 | 1 |
    | 24 | hours_since_browse | ln(1 + h) | 0 | 9 |
    | 25 | is_android | | 0 | 1 |
    | 26 | daily_cap_left | | 0 | 1 |
    | 27 | budget_left | | 0 | 1 |
    | 28 | gateway_backlog_hours | hours | 0 | 6 |
    | 29 + 7 s | matches_browse | | 0 | 1 |
    | 30 + 7 s | relevance | sd | -3 | 3 |
    | 31 + 7 s | bucket_recency | | 0 | 1 |
    | 32 + 7 s | hours_to_expiry | ln(1 + h) | 0 | 7 |
    | 33 + 7 s | margin_eur | ln(1 + EUR) | 0 | 6 |
    | 34 + 7 s | click_rate | logit | -6 | 0 |
    | 35 + 7 s | kind | | 0 | 1 |

    An empty slot is all zeros.

    ## Rewards

    Money that changes hands during the step, EUR: value of sessions, margin and discount of orders (when ordered),
    less the cost of sends and complaints. `info["reward_parts"]` itemises it in nano-euro. What a withdrawal or a user
    lost costs is the later money that never comes; nothing is charged for it a second time. Rewards are small and
    rare: scale them, and subtract what silence earns with the same seed when policies are compared.

    ## Starting state

    A user drawn from the scenario's population by the seed: traits, age, last session; nothing sent yet. A user who
    installs later starts at the first decision after the install. Without a seed, `reset` goes on to the next user of
    the seed before.

    ## Episode end

    - Termination: the user leaves the app for good.
    - Truncation: the scenario's horizon. The world goes on; a learner bootstraps.

    ## Info

    The keys of `NotifyVectorEnv`, without their leading axis.

    ## Arguments

    Those of `NotifyVectorEnv` but `num_envs`: `gymnasium.make("kairos/Notify-v0", scenario="news", n_slots=8)`.
    Vector form: `gymnasium.make_vec("kairos/Notify-v0", num_envs=1024, vectorization_mode="vector_entry_point")`.

    ## Version history

    - v0: first.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012
    spec = PlainSpec()
    mode: ClassVar[str] = "notify"

    def __init__(self, scenario: str | Scenario | Mapping[str, Any] = "ecommerce", **arguments: Any) -> None:
        self.vector = NotifyVectorEnv(1, scenario, mode=self.mode, autoresets=False, **arguments)
        self.observation_names = self.vector.observation_names
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.render_mode = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], Infos]:
        """Let a user sit down; see the class."""
        super().reset(seed=seed)
        if seed is None and not self.vector.is_ready:
            seed = int(self.np_random.integers(2**62))
        observations, infos = self.vector.reset(seed=seed, options=options)
        return observations[0].copy(), _first(infos)

    def step(self, action: Any) -> tuple[npt.NDArray[np.float32], float, bool, bool, Infos]:
        """Carry out one action and live on to the next decision; see the class.

        Raises:
            ValueError: no action of this space; or it is not eligible, if so configured.
            gymnasium.error.ResetNeeded: the episode is over.
        """
        chosen = np.asarray(action)
        if chosen.size != 1:
            raise ValueError(f"action: expected one integer, got an array of shape {chosen.shape}")
        if self.vector.is_over[0]:
            raise gymnasium.error.ResetNeeded("step: this episode is over; call reset")
        observations, rewards, terminated, truncated, infos = self.vector.step(chosen.reshape(1))
        return observations[0].copy(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(infos)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which actions may be taken now, shape (A,); the name that MaskablePPO asks for."""
        masks: npt.NDArray[np.bool_] = self.vector.action_masks()[0].astype(np.bool_)
        return masks


class NotifyDailyEnv(NotifyEnv):
    """One user, decided for once a day: at which hour, which campaign, on which channel, or nothing.

    ## Description

    As `NotifyEnv`, with decisions 24 hours apart. Between them the plan is carried out: at the chosen local hour the
    constraints are asked again, and a plan that they rule out by then is not sent; `info["refusals"]` says why.

    ## Action space

    `Discrete(1 + 24 * 2 C)`, jointly masked.

    | num | action |
    |---|---|
    | 0 | `no_send` |
    | 1 + 2 C h + 2 s | at local hour h, the candidate in slot s by push |
    | 2 + 2 C h + 2 s | at local hour h, the candidate in slot s by e-mail |

    The mask is the constraint engine's answer for that hour. A local hour that the day does not have (clocks are put
    forward) is masked; where it comes twice, the first is meant.

    Observation space, rewards, starting state, episode end, info and arguments: as `NotifyEnv`.

    ## Version history

    - v0: first.
    """

    mode = "daily"


class NotifyCandidatesEnv(NotifyEnv):
    """One user and a queue of candidates with expiry: send one of them or none, every four hours.

    ## Description

    The shape of LinkedIn's notification spacing (Yuan et al. 2022). A candidate joins the queue when its campaign has
    fresh content (scheduled, each `repeat_days`) or when the user's own event opens it, and leaves it when it is sent,
    when it lapses, or when fresh content takes its place. What is sent goes by push, or by e-mail where push is ruled
    out.

    ## Action space

    `Discrete(1 + C)`, masked: 0 `no_send`, 1 + s sends the candidate in slot s.

    Observation space, rewards, starting state, episode end, info and arguments: as `NotifyEnv`; `hours_to_expiry` is
    that of the candidate, not of its campaign.

    ## Version history

    - v0: first.
    """

    mode = "queue"


def _first(infos: Infos) -> Infos:
    """Return the infos of the only sub-environment, as copies."""
    return {key: value[0].copy() for key, value in infos.items() if not key.endswith("final_obs")}
