"""Where our engines stand in a subscription: between mRPC's engine, which talks to the program, and the transport."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from appnet.application.model import Side
from appnet.processors.mrpc.phoenix import Addon, Channel, Subscription
from appnet.processors.processor import ProcessorError

PLUGIN = "AppNet"
"""The plugin that has our engines, as Phoenix is told of it."""

LIBRARY = "phoenix_appnet"

ENGINES = {Side.CLIENT: "AppNetSenderEngine", Side.SERVER: "AppNetReceiverEngine"}
"""The engine that runs chains where calls leave a program, and where they reach one."""

SERVICE = "Mrpc"
PROGRAMS = "MrpcEngine"
TRANSPORTS = ("TcpRpcAdapterEngine", "RpcAdapterEngine")
"""Of a subscription of mRPC: what talks to the program, and what talks to the network, by TCP or RDMA."""


def config_text(bundle: str, sha256: str) -> str:
    """What an engine is told when it is attached, as TOML."""
    return f"bundle = {_quoted(bundle)}\nsha256 = {_quoted(sha256)}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        raise ProcessorError(f"{text!r} cannot be named in a configuration: choose a path of printable characters")
    return f'"{escaped}"'


def channels(engine: str, transport: str, *, attached: bool) -> tuple[list[Channel], list[Channel]]:
    """Those that messages of the program take, and those that messages for it take."""
    stops = [PROGRAMS, *([engine] if attached else []), transport]
    return list(pairwise(stops)), list(pairwise(stops[::-1]))


def joining(subscription: Subscription, side: Side) -> Addon:
    """Has an engine of ours join, which has yet to be told what it runs.

    Raises `ProcessorError` where Phoenix would end the subscription.
    """
    engine, transport = ENGINES[side], transport_of(subscription)
    if engine in subscription.addons:
        raise ProcessorError(f"{subscription} has an {engine} already: use `appnetctl upgrade`")
    alone(subscription, ())
    sent, received = channels(engine, transport, attached=True)
    return Addon(subscription.pid, subscription.sid, engine, sent, received, (PROGRAMS, transport))


def leaving(subscription: Subscription, side: Side) -> Addon:
    """The request that takes it away. Raises `ProcessorError` where Phoenix would end the subscription."""
    engine, transport = ENGINES[side], transport_of(subscription)
    engine_of(subscription, side)
    alone(subscription, (engine,))
    sent, received = channels(engine, transport, attached=False)
    return Addon(subscription.pid, subscription.sid, engine, sent, received)


def transport_of(subscription: Subscription) -> str:
    """The engine that talks to the network. Raises `ProcessorError` for a subscription that is none of mRPC."""
    there = {type_ for _, type_ in subscription.engines}
    found = [it for it in TRANSPORTS if it in there]
    if subscription.service != SERVICE or PROGRAMS not in there or len(found) != 1:
        raise ProcessorError(f"{subscription} is of {subscription.service}, and carries no calls of mRPC")
    return found[0]


def engine_of(subscription: Subscription, side: Side) -> int:
    """The number of our engine there. Raises `ProcessorError` where there is none."""
    found = [number for number, type_ in subscription.engines if type_ == ENGINES[side]]
    if len(found) != 1 or ENGINES[side] not in subscription.addons:
        raise ProcessorError(f"{subscription} has no {ENGINES[side]}: use `appnetctl attach` first")
    return found[0]


def alone(subscription: Subscription, ours: Sequence[str]) -> None:
    """Raises `ProcessorError` where other addons stand there: Phoenix does not say in which order, and ends a
    subscription whose channels are not as a request has them."""
    others = [it for it in subscription.addons if it not in ours]
    if others:
        names = " and ".join(others)
        raise ProcessorError(f"{subscription} has {names} attached: detach that first, and attach it again behind")
