"""Small HTTP servers of our own."""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from appnet.system.address import Address
from appnet.system.tls import ServerTls

# What is no HTTP is answered so; aiohttp would log where it noticed, as if it were ours.
logging.getLogger("aiohttp.server").addFilter(
    lambda it: it.exc_info is None or not isinstance(it.exc_info[1], HttpProcessingError)
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve_http(
    application: web.Application, bind: Address, tls: ServerTls | None = None, **options: Any
) -> web.AppRunner:
    """The application's runner, which listens on ``bind`` until its `cleanup`, by ``tls`` or without. ``options``:
    further ones of the runner.

    Raises OSError where the address cannot be had.
    """
    runner = web.AppRunner(application, access_log=None, **options)
    await runner.setup()
    try:
        context = _context(tls) if tls is not None else None
        await web.TCPSite(runner, bind.host, bind.port, ssl_context=context).start()
    except OSError as error:
        await runner.cleanup()
        raise OSError(f"cannot listen on {bind}: {os.strerror(error.errno or 0)}") from None
    return runner


def is_loopback(address: str | None) -> bool:
    """Whether somebody at this IP address is on this machine."""
    return address is not None and ipaddress.ip_address(address.partition("%")[0]).is_loopback


@web.middleware
async def own_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only pages of this server read what is here: neither those of other sites, nor those of a site whose name has
    come to lead to this machine. Links from elsewhere lead here."""
    asks = request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    if not asks and request.headers.get("Sec-Fetch-Dest") != "document":
        raise web.HTTPForbidden(text="another site asks for this\n")
    if is_loopback(request.remote) and not _is_own_name(request.host):
        raise web.HTTPForbidden(text="name this machine by localhost or by an IP address\n")
    return await handler(request)


def _is_own_name(host: str) -> bool:
    """Whether nobody else can have such a name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _context(tls: ServerTls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
