"""The decision service: policies behind HTTP, with users' histories, caps that hold, and a log of every decision.

    state/      where users, decisions and outcomes are kept (memory, SQLite, PostgreSQL); each change is a transaction
    deciding/   from what is known of a user to a decision; policies on the shelf, their reload, shadow and guard rail
    http/       endpoints, keys, limits, metrics, the operations page

`docs/service.md` tells how to run it. It needs the extra `serve`; nothing else of `policies` imports it.
"""

try:
    import msgspec  # noqa: F401
except ImportError as missing:
    raise ImportError(
        f'policies.service needs {missing.name}: pip install "kairos-notify[serve]"', name=missing.name
    ) from missing
