"""The app's constraints as a scenario states them; what they mean: `policies.limits` and `policies.constraints`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policies import limits
from simulator.config_campaigns import ChannelName
from simulator.config_fields import HourOfDay, MisfitError, Model, SlotName

KindName = Literal["scheduled", "triggered", "transactional"]
ZoneName = Literal["user", "project"]
GapHours = Annotated[int, Field(ge=0, le=limits.MOST_HOURS)]
PresetName = Literal["braze", "onesignal", "iterable", "clevertap", "novu", "uber"]


class Cap(Model):
    """At most so many sends within a window."""

    name: SlotName
    limit: Annotated[int, Field(ge=0, le=31)]
    window: Literal["rolling", "day", "week", "month"] = "rolling"
    hours: Annotated[int, Field(ge=1, le=limits.MOST_HOURS)] | None = Field(None, description="of a rolling window")
    zone: ZoneName = Field("user", description="whose calendar")
    channels: tuple[ChannelName, ...] | None = Field(None, description="that it looks at; null: all together")
    tags: tuple[SlotName, ...] | None = Field(None, description="only messages with one of these")
    overrides_channels: bool = Field(False, description="for its messages, it takes the place of caps without tags")


class QuietHours(Model):
    """Hours of the day in which nothing is dispatched."""

    start: HourOfDay = 22.0
    end: HourOfDay = Field(8.0, description="past midnight when it is earlier than the start")
    mode: Literal["drop", "defer", "cancel"] = "drop"
    zone: ZoneName = Field("user", description="whose clock")
    channels: tuple[ChannelName, ...] | None = Field(None, description="on which it is quiet; null: all")


class Constraints(Model):
    """Limits that hold for every policy. Without an entry there are none."""

    preset: PresetName | None = Field(None, description="the semantics of a product, instead of everything below")
    caps: Annotated[tuple[Cap, ...], Field(max_length=8)] = ()
    gap_hours: GapHours = Field(0, description="between two sends on any channel")
    push_gap_hours: GapHours = 0
    email_gap_hours: GapHours = 0
    quiet: QuietHours | None = None
    passes_caps: tuple[KindName, ...] = Field(("transactional",), description="neither held back nor counted by caps")
    passes_gap: tuple[KindName, ...] = ("transactional",)
    passes_quiet: tuple[KindName, ...] = ()
    project_zone: SlotName | None = Field(None, description="one of the population's time zones; null: UTC")

    def limits(self) -> limits.Constraints:
        """Return what the constraint engine takes."""
        if self.preset is not None:
            return limits.preset(self.preset)
        return limits.Constraints(**self._parts())  # type: ignore[arg-type]

    def _parts(self) -> dict[str, object]:
        quiet = self.quiet
        return {
            "caps": tuple(limits.Cap(**cap.model_dump()) for cap in self.caps),
            "gap_hours": self.gap_hours,
            "channel_gap_hours": {"push": self.push_gap_hours, "email": self.email_gap_hours},
            "quiet": None
            if quiet is None
            else limits.QuietHours(
                round(quiet.start * 60), round(quiet.end * 60), quiet.mode, quiet.zone, quiet.channels
            ),
            "passes_caps": self.passes_caps,
            "passes_gap": self.passes_gap,
            "passes_quiet": self.passes_quiet,
        }

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults: list[tuple[tuple[str | int, ...], str]] = []
        if self.preset is not None:
            extra = sorted(self.model_fields_set - {"preset", "project_zone"})
            faults += [((name,), f"preset {self.preset!r} says this already; leave one of them out") for name in extra]
        else:
            unchecked = limits.Constraints.__new__(limits.Constraints)
            unchecked.__dict__.update(self._parts())
            for place, what in unchecked.faults():
                names = (part.removesuffix("_minute") for part in place.split("."))  # hours, in a scenario
                path = tuple(int(name) if name.isdigit() else name for name in names)
                faults.append((path, what))
        if faults:
            raise MisfitError(faults)
        return self
