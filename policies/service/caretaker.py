"""Who looks after a running service: changed files, other replicas' changes, the guard rail, retention, the store."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import msgspec

from policies.service.core import Service
from policies.service.deciding.guard_rail import Arm, watch
from policies.service.deciding.shelf import Control, ShelfError, activated
from policies.service.state.store import Ages, StoreError

log = logging.getLogger("kairos.service")
MS_A_DAY = 86_400_000
SWEEP_SECONDS = 600.0  # between two removals for retention, and from a leap of the clock to the next


class Caretaker:
    """A thread that never dies of what it meets; what is amiss stands in the service's faults.

    Args:
        service: to look after.
        files: of policies; the first one's document is active unless something else was activated since it changed.
    """

    def __init__(self, service: Service, files: tuple[Path, ...]) -> None:
        self._service, self._files = service, files
        self._seen: dict[Path, tuple[int, int, int] | None] = {}
        self._checked_at, self._swept_at = -1e9, time.monotonic()
        self._clock_offset_ms = self._offset_ms()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="caretaker", daemon=True)

    def read_files(self) -> None:
        """Take the documents as the service starts.

        Raises:
            ShelfError: one is not sound, so that a mistake shows at once; later such a file is refused and the old
                document stays.
        """
        for path in self._files:
            self._seen[path] = _signature(path)
            self._take(path)

    def start(self) -> None:
        """Begin to look after it."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; returns when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._service.settings.watch_seconds):
            self.look()

    def look(self) -> None:
        """Look at everything once."""
        service = self._service
        try:
            service.shelf.refresh()
            self._look_at_files()
            now = time.monotonic()
            if now - self._checked_at >= service.settings.check_seconds:
                self._checked_at = now
                service.store.ping()
                self.look_at_guard_rail()
            self._watch_clock(now)
            if now - self._swept_at >= SWEEP_SECONDS:
                self._swept_at = now
                self.sweep()
            service.store_fault = ""
        except StoreError as fault:
            service.metrics.faults[fault.reason] += 1
            if service.store_fault != str(fault):
                log.warning("the state cannot be reached: %s", fault)
            service.store_fault = str(fault)
        except Exception:
            log.exception("the caretaker met something unforeseen and goes on")

    def _offset_ms(self) -> float:
        return self._service.now_ms() - time.monotonic() * 1e3

    def _watch_clock(self, now: float) -> None:
        """Put retention off where the clock has leapt: what it would remove by a wrong clock is gone for good."""
        offset_ms = self._offset_ms()
        leap_s = (offset_ms - self._clock_offset_ms) / 1e3
        if abs(leap_s) > self._service.settings.limits.clock_step_seconds:
            self._clock_offset_ms, self._swept_at = offset_ms, now
            log.warning("the clock leapt by %+.0f s: nothing is removed for %.0f s", leap_s, SWEEP_SECONDS)

    # ------------------------------------------------------------------------------------------------- files

    def _look_at_files(self) -> None:
        for path in self._files:
            signature = _signature(path)
            if signature == self._seen.get(path):
                continue
            try:
                self._take(path)
            except ShelfError as fault:
                log.warning("refused, the old policy stays: %s", fault)
            self._seen[path] = signature  # not before: where the store could not take it, it is read again

    def _take(self, path: Path) -> None:
        shelf = self._service.shelf
        try:
            text = path.read_bytes()
        except OSError as fault:
            shelf.refused[str(path)] = f"{path}: cannot be read: {fault.strerror}"
            raise ShelfError(shelf.refused[str(path)]) from None
        policy = shelf.add(text, str(path))
        if path != self._files[0]:
            return
        found = policy.policy_hash

        def change(control: Control) -> Control:
            if control.first_file == found:
                return control  # what was activated since, by hand or by the guard rail, stays
            changed = msgspec.structs.replace(activated(control, found), first_file=found)
            return changed.with_event(f"file: {policy.document.name!r} ({found[7:15]}) is active")

        before = shelf.serving.control.active
        shelf.change(change)
        if shelf.serving.control.active != before:
            log.info("policy %r (%s) is active", policy.document.name, found[7:15])

    # ------------------------------------------------------------------------------------------------- guard rail

    def look_at_guard_rail(self) -> None:
        """Take a policy back when its opt-outs are clearly more than those of the one that it is compared with."""
        service = self._service
        rail = service.settings.guard_rail
        control = service.shelf.serving.control
        pair = (control.canary, control.active) if control.canary else (control.active, control.previous)
        if not rail.is_on or not all(pair):
            service.guard_rail = "off" if not rail.is_on else "no two policies to compare yet"
            return
        totals = service.store.totals()
        arms = [Arm(totals.get((name, "send"), 0), totals.get((name, "opt_out"), 0)) for name in pair]
        verdict = watch(arms[0], arms[1], margin=rail.margin, level=rail.level)
        service.guard_rail = verdict.words
        if not verdict.is_tripped:
            return

        def change(now: Control) -> Control:
            if now.canary == pair[0]:
                return msgspec.structs.replace(now, canary="").with_event(f"guard rail: canary ended: {verdict.words}")
            if now.active == pair[0] and now.previous == pair[1]:
                back = msgspec.structs.replace(now, active=pair[1], previous="")
                return back.with_event(f"guard rail: back to {pair[1][7:15]}: {verdict.words}")
            return now  # another replica was quicker, or somebody changed it meanwhile

        service.shelf.change(change)
        log.error("guard rail: %s", verdict.words)

    def sweep(self) -> None:
        """Remove what is older than is to be kept."""
        service = self._service
        keep, now_ms = service.settings.retention, service.now_ms()
        ages = Ages(
            now_ms - round(keep.decisions_days * MS_A_DAY),
            now_ms - round(keep.answers_hours * MS_A_DAY / 24.0),
            (now_ms - round(keep.tallies_days * MS_A_DAY)) // 60_000,
        )
        swept = service.store.sweep(ages)
        if any(swept):
            log.info("retention removed %d decisions, %d answers, %d tallies", *swept)


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file does; None: it is not there."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_mtime_ns, there.st_size, there.st_ino
