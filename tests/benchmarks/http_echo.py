"""The least that the service's own stack can do: take a body and give it back."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any


async def echo(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer a request with its body."""
    if scope["type"] != "http":
        return
    message = await receive()
    body = message.get("body", b"")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    import uvicorn

    from policies.service.server import LEAN

    uvicorn.run(echo, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", lifespan="off", **LEAN)
