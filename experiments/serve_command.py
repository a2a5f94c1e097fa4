"""`kairos serve` and `service-log`: policies behind HTTP, and what they decided.

What serves is in `policies.service`, imported only when it is asked for.
"""

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


@click.command("service-log")
@click.option("--state", required=True, metavar="STORE", help="As of `kairos serve`.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the ledger.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The service's TOML file.")
def service_log(state: str, out: Path, config: Path | None) -> None:
    """Write what a service has decided into a ledger, for `kairos evaluate` and other readers."""
    try:
        from policies.service import server
    except ImportError as missing:
        raise click.ClickException(str(missing)) from None
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"--out {out}: expected a new folder, or an empty one; decisions would come twice")
    try:
        n = server.export_ledger(state, out, config)
    except server.FAULTS as fault:
        raise click.ClickException(str(fault)) from fault
    click.echo(f"{n:,} decisions -> {out}")
