"""The base of every agent's config: strict data, in which an unknown or misspelt field is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A config: frozen, no unknown fields, no infinities; each subclass has a `kind`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
