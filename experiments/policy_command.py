"""`kairos policy`: check, show, seal, sign and verify policy documents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.run_options import writing

if TYPE_CHECKING:
    from policies.document import Document

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
PRIVATE, PUBLIC = "policy-key.pem", "policy-key.pub.pem"


@click.group(short_help="Check, show, seal, sign and verify policy documents.")
def policy() -> None:
    """Check, show, seal, sign and verify policy documents."""


@policy.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Tell every fault of documents, their hashes and parity vectors included. Exit code 1 when there is any."""
    from policies.decide import load
    from policies.strict_json import DocumentError

    is_bad = False
    for file in files:
        try:
            found = load(file.read_bytes(), str(file))
        except DocumentError as error:
            is_bad = True
            click.echo(str(error), err=True)
        else:
            click.echo(f"{file}: fine, {found.policy_hash}")
    if is_bad:
        ctx.exit(1)


@policy.command()
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Say what a document is, in a few lines."""
    from policies.decide import load

    with _told():
        found = load(file.read_bytes(), str(file))
    document = found.document
    rows = [
        ("name", document.name),
        ("hash", found.policy_hash),
        ("model", document.model.kind),
        ("exploration", document.exploration.kind),
        ("candidates", str(document.n_slots)),
        ("reads", ", ".join(found.inputs) or "nothing of the user"),
        ("made by", document.made_by or "not said"),
        *((f"  {name}", text) for name, text in document.trained_on.items()),
        ("own limits", _limits_in_words(document)),
        ("may send", "everything" if document.allowed_campaigns is None else ", ".join(document.allowed_campaigns)),
        ("fallback", "none" if document.fallback is None else f"{len(document.fallback.rules)} rules"),
        ("parity vectors", str(len(document.parity))),
    ]
    for name, text in rows:
        click.echo(f"{name:16}{text}")


def _limits_in_words(document: Document) -> str:
    limits = document.constraints
    if limits is None:
        return "none"
    words = [f"cap {name}" for name in limits.cap_names]
    words += [f"a gap of {limits.gap_hours} h"] if limits.gap_hours else []
    words += [f"a gap of {hours} h on {channel}" for channel, hours in limits.channel_gap_hours.items()]
    words += ["quiet hours"] if limits.quiet is not None else []
    return ", ".join(words) or "none"


@policy.command()
@click.argument("file", type=FILE)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: over FILE.")
def seal(file: Path, out: Path | None) -> None:
    """Give a draft its hash, laid out as we write it; a hash that is there must be right."""
    from experiments.results import write_text
    from policies.codec import content_hash, read, write

    with _told():
        document = read(file.read_bytes(), str(file), is_draft=True)
        text = write(document)
    with writing():
        write_text(out or file, text)
    click.echo(f"Written: {out or file}, {content_hash(document)}")


@policy.command()
@click.option("--out", default=Path(), type=click.Path(path_type=Path, file_okay=False), help="Folder; default: here.")
def keys(out: Path) -> None:
    """Make a pair of keys, for `sign` and `verify`; what is there is not written over."""
    from experiments.results import write_text
    from policies.signature import new_keys

    for name in (PRIVATE, PUBLIC):
        if (out / name).exists():
            raise click.ClickException(f"{out / name}: a key is there; name another folder with --out.")
    with _told():
        private, public = new_keys()
    with writing():
        out.mkdir(parents=True, exist_ok=True)
        # For the owner's eyes from the first byte on.
        descriptor = os.open(out / PRIVATE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(private)
        write_text(out / PUBLIC, public)
    click.echo(f"Written: {out / PRIVATE}, which signs and is to be kept secret, and {out / PUBLIC}, which verifies")


@policy.command()
@click.argument("file", type=FILE)
@click.option("--key", required=True, type=FILE, help="Private, PEM.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: FILE.sig")
def sign(file: Path, key: Path, out: Path | None) -> None:
    """Vouch for a document."""
    from experiments.results import write_text
    from policies.signature import sign as signed

    with _told():
        text = signed(file.read_bytes(), key.read_bytes(), str(file))
    target = out or file.with_name(f"{file.name}.sig")
    with writing():
        write_text(target, text)
    click.echo(f"Written: {target}")


@policy.command()
@click.argument("file", type=FILE)
@click.option("--key", required=True, type=FILE, help="Public, PEM.")
@click.option("--signature", type=click.Path(path_type=Path, dir_okay=False), help="Default: FILE.sig")
def verify(file: Path, key: Path, signature: Path | None) -> None:
    """Say whether somebody who is trusted vouches for a document. Exit code 1 when not."""
    from policies.signature import verify as verified

    beside = signature or file.with_name(f"{file.name}.sig")
    if not beside.is_file():
        raise click.ClickException(f"{file}: not signed: there is no {beside}")
    with _told():
        policy_hash = verified(file.read_bytes(), beside.read_bytes(), key.read_bytes(), str(file))
    click.echo(f"{file}: vouched for, {policy_hash}")


@contextmanager
def _told() -> Iterator[None]:
    """Tell what is wrong with a document, a key or the installation as a message, not as a traceback."""
    try:
        yield
    except (ValueError, ModuleNotFoundError) as error:
        raise click.ClickException(str(error)) from None
