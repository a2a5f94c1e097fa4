"""Baselines that look at nothing: never, always, and at random."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.settings import Settings
from policies.document import NO_SEND, Document, Epsilon, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT


class Never(Settings):
    """Silence: what every value is measured over."""

    kind: Literal["never"] = "never"

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        return Document(self.kind, n_slots, Rules(()))


class Always(Settings):
    """The first eligible candidate at every occasion, by push where that is eligible."""

    kind: Literal["always"] = "always"

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        return Document(self.kind, n_slots, Rules((), Send(CHANNELS_OF_A_SLOT)))


class RandomChoice(Settings):
    """Any eligible action, `no_send` among them, each as likely, at a share of the occasions; else silence.

    Attributes:
        draw_prob: that share.
    """

    kind: Literal["random"] = "random"
    draw_prob: float = Field(0.02, gt=0, le=1)

    def document(self, n_slots: int) -> Document:
        """Return the policy."""
        return Document(self.kind, n_slots, Rules((), NO_SEND), Epsilon(self.draw_prob))


RANDOM_GRID = tuple(RandomChoice(draw_prob=prob) for prob in (0.002, 0.005, 0.01, 0.02, 0.05))
