"""What commands that run a scenario make of their options: which users, how many threads, where to write."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from rich.console import Console

    from simulator.config import Scenario

Loaded = TypeVar("Loaded")
SECONDS_BETWEEN_WORDS = 5.0
Short = dict[str, tuple[str, int | None]]


def chosen_scenario(
    config: str, users: int | None, days: int | None, seed: int | None, settings: tuple[str, ...]
) -> Scenario:
    """Return the scenario with the options written over it; faults are told by the option's own name."""
    from experiments.config import load_scenario

    short: Short = {
        "population.n_users": ("--users", users),
        "calendar.horizon_days": ("--days", days),
        "seed": ("--seed", seed),
    }
    return with_options(load_scenario, config, short, settings)


def with_options(
    load: Callable[[str, dict[str, object]], Loaded], config: str, short: Short, settings: tuple[str, ...]
) -> Loaded:
    """Return what a config loads to with options written over it; faults are told by the option's own name.

    Args:
        load: from the config and values by dotted path.
        short: by dotted path, the option that stands for it and its value, None where it is not given.
        settings: of `--set`.
    """
    from dataclasses import replace

    from experiments.config import ConfigError, read_setting

    overrides: dict[str, object] = dict(read_setting(setting) for setting in settings)
    for path, (option, value) in short.items():
        if value is not None:
            if path in overrides:
                raise click.UsageError(f"{option} and --set {path} say the same thing; give one of them.")
            overrides[path] = value
    try:
        return load(config, overrides)
    except ConfigError as error:
        raise ConfigError(
            replace(fault, file=short[fault.path][0])
            if fault.file == "--set" and fault.path in short and short[fault.path][1] is not None
            else fault
            for fault in error.faults
        ) from None


def asked(ctx: click.Context, *more: str, without: tuple[str, ...] = ()) -> str:
    """Return the command as it was given, so that a person can give it again.

    Args:
        ctx: of the command.
        more: added to it.
        without: names of parameters that are left out.
    """
    words = ["kairos", *ctx.command_path.split()[1:]]
    for param in ctx.command.params:
        name = param.name or ""
        if name in without or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value, is_argument = ctx.params[name], isinstance(param, click.Argument)
        if isinstance(param, click.Option) and param.is_flag:
            words += [param.opts[0]] if value else []
            continue
        for each in value if param.multiple or param.nargs == -1 else [value]:
            parts = each if isinstance(each, tuple) else (each,)
            words += [*([] if is_argument else [param.opts[0]]), *map(str, parts)]
    return shlex.join([*words, *more])


def output_folder(out: Path | None, name: str) -> Path:
    """Return where to write; the folder is made with the first file, so that bad input leaves nothing."""
    folder = Path("results") / name if out is None else out
    for parent in (folder, *folder.parents):
        if parent.exists():
            if not parent.is_dir():
                raise click.UsageError(f"cannot write to {folder}: {parent} is a file.")
            if not os.access(parent, os.W_OK):
                raise click.UsageError(f"cannot write to {folder}: no permission to write in {parent}.")
            break
    return folder


def choose_threads(n_threads: int | None) -> None:
    """Set how many threads run, where a number is given."""
    if n_threads is None:
        return
    from simulator.compiled import use_threads

    try:
        use_threads(n_threads)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def writing() -> Iterator[None]:
    """Tell a failure to write as a message, not as a traceback."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"cannot write {error.filename}: {error.strerror}") from None


def plain_console() -> Console:
    """Return standard output, without colours that nobody asked for."""
    from rich.console import Console

    return Console(highlight=False)


def telling(what: str, unit: str) -> Callable[[int, int], None]:
    """Return what tells now and then, on standard error, how far something is and how long the rest may take.

    Args:
        what: it is.
        unit: of what is done, such as `days`.
    """
    began = told = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= SECONDS_BETWEEN_WORDS and done < of:
            told = now
            left = (now - began) / done * (of - done)
            click.echo(f"{what}: {done:,} of {of:,} {unit}, about {left:.0f} s left", err=True)

    return tell


@contextmanager
def interruptible(told: str) -> Iterator[Callable[[], bool]]:
    """Yield what says whether Ctrl-C was pressed; pressed a second time, it interrupts at once.

    Args:
        told: on standard error, at the first.
    """
    is_pressed = False
    before = signal.getsignal(signal.SIGINT)

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal is_pressed
        is_pressed = True
        signal.signal(signal.SIGINT, before)
        click.echo(told, err=True)

    signal.signal(signal.SIGINT, press)
    try:
        yield lambda: is_pressed
    finally:
        signal.signal(signal.SIGINT, before)
