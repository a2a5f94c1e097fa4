"""A PostgreSQL server of the tests' own, in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl: on the path, or where Debian puts them; None: not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@contextmanager
def postgres_process(*, is_durable: bool) -> Iterator[str]:
    """The address of a running server, run by somebody who is not root, ended in the end; without PostgreSQL, a skip.

    Args:
        is_durable: whether commits wait for the disk; a test's server need not outlive a power failure.
    """
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL: install Debian's package `postgresql`")
    pytest.importorskip("psycopg")
    as_user: list[str] = []
    if os.getuid() == 0:
        names = [entry.pw_name for entry in pwd.getpwall()]
        name = next((name for name in ("postgres", "nobody") if name in names), None)
        if name is None or shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")
        as_user = ["runuser", "-u", name, "--"]
    folder = Path(tempfile.mkdtemp(prefix="kairos-postgres-"))
    folder.chmod(0o777)
    data, port = folder / "data", free_port()

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), *arguments]
        with (folder / f"{program}.out").open("w") as out:  # a pipe would be held open by the server
            done = subprocess.run(command, stdout=out, stderr=out, timeout=60, check=False, cwd="/")
        if done.returncode:
            pytest.skip(f"PostgreSQL does not start: {(folder / f'{program}.out').read_text()[-400:]}")

    try:
        run("initdb", "-D", str(data), "-U", "kairos", "-A", "trust", "-N", "-E", "UTF8", "--no-instructions")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        options += "" if is_durable else " -c fsync=off"
        run("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start")
        try:
            yield f"postgresql://kairos@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
