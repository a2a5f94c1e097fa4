"""`kairos init`: write a commented config to start from; what is there is never written over."""

from __future__ import annotations

import re
from pathlib import Path

import click

from experiments.run_options import writing

# Where each kind starts: a folder of `configs`, the name of a file in it, and the command that takes what is written.
STARTS = {
    "experiment": ("templates", "experiment", "run"),
    "scenario": (".", "ecommerce", "simulate"),
    "training": ("training", "users-linear-thompson", "train"),
    "sweep": ("sweeps", "quick-sweep", "sweep"),
}
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
SCHEMA = re.compile(r"^# yaml-language-server: \$schema=(.*)$", re.MULTILINE)


@click.command(short_help="Write a commented config to start from.")
@click.argument("name", default="")
@click.option(
    "--kind", type=click.Choice(tuple(STARTS)), default="experiment", show_default=True, help="Of the config."
)
def init(name: str, kind: str) -> None:
    """Write NAME.yaml, a commented config that can be run as it is and changed; default: my-KIND.

    A file that is there is left as it is.
    """
    name = (name or f"my-{kind}").removesuffix(".yaml")
    if not NAME.fullmatch(Path(name).name):
        raise click.UsageError(
            f"NAME: expected up to 40 lower-case letters, digits, - and _, got {Path(name).name!r}; paths may stand "
            f"before it"
        )
    path = Path(f"{name}.yaml")
    source = _start(kind)
    text = re.sub(r"^name: .*$", f"name: {path.stem}", source.read_text("utf-8"), count=1, flags=re.MULTILINE)
    text = SCHEMA.sub(lambda found: _schema(source, found.group(1)), text, count=1)
    with writing():
        _write_new(path, text)
    click.echo(f"Written: {path}. Next: kairos config check {path}; kairos {STARTS[kind][2]} {path}")


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; of two at the same moment one does, and nobody's is written over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise click.ClickException(f"{path}: is there already, and is left as it is; give another name.") from None
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _start(kind: str) -> Path:
    """Return the file that a kind starts from."""
    from simulator.presets import preset_folders

    folder, name, _ = STARTS[kind]
    for each in preset_folders():
        found = Path(str(each)) / folder / f"{name}.yaml"
        if found.is_file():
            return found
    raise click.ClickException(f"--kind {kind}: this installation has no such start: configs/{folder}/{name}.yaml")


def _schema(source: Path, written: str) -> str:
    """Return the line by which editors find the schema, from wherever the new file lies."""
    found = (source.parent / written).resolve()
    return f"# yaml-language-server: $schema={found.as_posix()}"
