"""A gateway to a store, for modules that cannot open connections, beside tests that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from appnet.observe.receiver import OtlpReceiver
from appnet.processors.options import StoreOptions
from appnet.state.gateway import Door, Gateway
from appnet.system.address import Address

SECRET = b"of a test"


@contextmanager
def serving_gateway(store: StoreOptions) -> Iterator[Address]:
    """Where it and a receiver of telemetry are served, in a thread of their own; its passes are made with `SECRET`."""
    begun: Future[Address] = Future()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        receiver = OtlpReceiver()
        async with Gateway(SECRET) as gateway:
            gateway.open("test", [Door(store.scope, store.address)])
            receiver.serve_besides(gateway.add_to)
            async with receiver:
                begun.set_result(receiver.address)
                await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        yield begun.result(60)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
