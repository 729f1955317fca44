"""Small HTTP servers of our own."""

from __future__ import annotations

import os
from typing import Any

from aiohttp import web

from appnet.system.address import Address


async def serve_http(application: web.Application, bind: Address, **options: Any) -> web.AppRunner:
    """The application's runner, which listens on ``bind`` until its `cleanup`. ``options``: further ones of the runner.

    Raises OSError where the address cannot be had.
    """
    runner = web.AppRunner(application, access_log=None, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, bind.host, bind.port).start()
    except OSError as error:
        await runner.cleanup()
        raise OSError(f"cannot listen on {bind}: {os.strerror(error.errno or 0)}") from None
    return runner
