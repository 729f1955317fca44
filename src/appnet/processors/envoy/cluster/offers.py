"""What the proxies of a group are offered: one set of bytes for all of them, but for their names."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from google.protobuf.any_pb2 import Any as AnyMessage

from appnet.processors.artifact import Artifact
from appnet.processors.envoy.filters import chain_filter, marked, refuse_remote_code
from appnet.processors.envoy.pieces import idle_filter
from appnet.processors.options import ChainOptions
from appnet.processors.processor import Group
from appnet.processors.signing import SigningKey
from appnet.processors.stores import lacking_password, store_in_group

_REMEMBERED = 4


class Served:
    """A filter's configuration; ``digest`` tells it from all others of the name, whichever proxy gets it.

    Nothing that has the size of the code is kept: it is built when it is sent.
    """

    def __init__(self, make: Callable[[str], TypedExtensionConfig]) -> None:
        self._make = make

    @cached_property
    def digest(self) -> str:
        """Of what is the same for all proxies."""
        config = self._make("")
        refuse_remote_code(config)
        return hashlib.sha256(config.SerializeToString(deterministic=True)).hexdigest()[:32]

    def packed(self, proxy: str, mark: str) -> AnyMessage:
        """As the proxy of this name gets it, with the mark of an attempt: see `marked`."""
        packed = AnyMessage()
        packed.Pack(self._make(proxy), deterministic=True)
        return marked(packed, mark)


class Offer:
    """A version for the proxies of a group. ``names`` are those of its artifacts."""

    def __init__(self, version: str, artifacts: Sequence[Artifact], group: Group, key: SigningKey) -> None:
        self.version, self.artifacts, self.group = version, tuple(artifacts), group
        self._key, self._gateway = key, key.gateway_secret
        self._by_name = {it.name: it for it in artifacts}
        self._served: dict[tuple[str, tuple[str, ...]], Served] = {}

    @property
    def names(self) -> frozenset[str]:
        """Of the filters that have to be accepted."""
        return frozenset(self._by_name)

    def lack(self, targets: Sequence[str]) -> str:
        """What a proxy that loads these targets cannot be given; empty where all is there."""
        for it in self.artifacts:
            if _loadable(it, targets) is None:
                there = ", ".join(one.segment.place.target for one in (it, *it.others))
                return f"{it.name} was built as {there}, but this proxy loads {' and '.join(targets)}"
        return lacking_password(self.artifacts, self.group)

    def served(self, name: str, targets: tuple[str, ...]) -> Served:
        """The filter of this name, for a proxy that lacks nothing."""
        key = name, targets
        if key not in self._served:
            self._served[key] = self._make(name, targets)
        return self._served[key]

    def _make(self, name: str, targets: tuple[str, ...]) -> Served:
        artifact = self._by_name.get(name)
        found = None if artifact is None else _loadable(artifact, targets)
        if found is None:
            return Served(lambda _proxy: idle_filter(name))
        group, end, store = self.group, self.group.end, store_in_group(found, self.group)
        gateway = b"" if store is None or store.is_local else self._gateway

        def make(proxy: str) -> TypedExtensionConfig:
            limits = found.limits
            told = (end.service, proxy, found.version, limits.max_message, group.hosts)
            options = ChainOptions(*told, end=end, store=store, traces=limits.traced_share, gateway=gateway)
            return chain_filter(found, options, self._key)

        return Served(make)


class Offers:
    """What was offered lately, so that all proxies of a group share it. ``key`` signs native code."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._recent: deque[Offer] = deque(maxlen=_REMEMBERED)

    def of(self, version: str, artifacts: Sequence[Artifact], group: Group) -> Offer:
        """The offer of these artifacts."""
        for it in self._recent:
            if it.version == version and it.group == group and _same(it.artifacts, artifacts):
                return it
        made = Offer(version, artifacts, group, self._key)
        self._recent.append(made)
        return made


def _same(left: Sequence[Artifact], right: Sequence[Artifact]) -> bool:
    return len(left) == len(right) and all(one is other for one, other in zip(left, right, strict=True))


def _loadable(artifact: Artifact, targets: Sequence[str]) -> Artifact | None:
    return next((it for it in (artifact, *artifact.others) if it.segment.place.target in targets), None)
