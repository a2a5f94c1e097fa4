"""Where a command finds the policy that it is asked about: a document, or a training's folder."""

from __future__ import annotations

from pathlib import Path

import click

POLICY = "policy.json"


def policy_file(source: Path) -> Path:
    """Return the document's file.

    Raises:
        click.ClickException: there is none.
    """
    file = source / POLICY if source.is_dir() else source
    if not file.is_file():
        raise click.ClickException(
            f"{source}: expected a policy document, or a training's folder with {POLICY} in it; got neither"
        )
    return file
