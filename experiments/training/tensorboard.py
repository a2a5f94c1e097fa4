"""TensorBoard's event files, by its own writer: needs neither torch nor TensorFlow.

A training that is taken up again writes a second file. It begins with TensorBoard's own mark of a restart, on which
TensorBoard forgets what the first file has from that step on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MISSING = 'TensorBoard is not installed, so nothing is written for it: pip install "kairos-notify[train]"'


class EventWriter:
    """Writes figures; without TensorBoard it writes nothing.

    Args:
        folder: for the event files.
        first_step: of what will be written.

    Attributes:
        is_there: whether TensorBoard is installed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer: Any = None
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError:
            return
        self._writer = EventFileWriter(str(folder))
        self._writer.add_event(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    @property
    def is_there(self) -> bool:
        """Whether TensorBoard is installed."""
        return self._writer is not None

    def write(self, step: int, group: str, figures: Mapping[str, float], wall_seconds: float) -> None:
        """Write figures at a step, under `group/name`."""
        if self._writer is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=f"{group}/{name}", simple_value=value) for name, value in figures.items()]
        self._writer.add_event(Event(step=step, wall_time=wall_seconds, summary=Summary(value=values)))

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
