"""`kairos serve`: policies behind HTTP. What serves is in `policies.service`, imported only when it is asked for."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("policies", metavar="POLICY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--state",
    default="memory",
    show_default=True,
    metavar="STORE",
    help="memory, sqlite:PATH or postgresql://USER@HOST/DATABASE: where users, decisions and outcomes are kept.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file: campaigns, constraints, keys, limits (docs/service.md).",
)
def serve(policies: tuple[Path, ...], state: str, host: str, port: int, config: Path | None) -> None:
    """Serve decisions of POLICY documents over HTTP. The first one decides; files that change are read anew."""
    try:
        from policies.service import server
    except ImportError as missing:
        raise click.ClickException(str(missing)) from None
    try:
        server.serve(policies, state, host, port, config)
    except server.FAULTS as fault:
        raise click.ClickException(str(fault)) from fault
