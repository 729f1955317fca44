"""A gateway from HTTP to a store, as Webdis is one: `GET /COMMAND/ARGUMENT/…` is answered with what the store says.

python -m benchmarks.gateway STORE-URL     says on which port of 127.0.0.1 it listens; ends with its standard input
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

import valkey.asyncio
from aiohttp import web


async def serve(url: str) -> None:
    """Until the standard input ends."""
    store = valkey.asyncio.Valkey.from_url(url)

    async def answer(request: web.BaseRequest) -> web.Response:
        said = await store.execute_command(*request.path.strip("/").split("/"))
        return web.Response(body=said if isinstance(said, bytes) else str(said or "").encode())

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    print(address[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()
    await store.aclose()


@contextlib.contextmanager
def gateway(url: str) -> Iterator[int]:
    """One in a process of its own; its port."""
    command = [sys.executable, "-m", "benchmarks.gateway", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(20)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
