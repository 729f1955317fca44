"""All that the controller brings versions by: a server for each protocol by which processors ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from appnet.processors import registry
from appnet.processors.processor import ClusterNode, Delivery, Group, Mesh, Stranger
from appnet.system.address import Address


def meshes() -> dict[str, Mesh]:
    """One for each protocol, the one of Envoys first."""
    every = [mesh for it in registry.ENTRIES if (mesh := registry.processor(it).mesh()) is not None]
    found: dict[str, Mesh] = {}
    for it in sorted(every, key=lambda it: not it.beside):
        found.setdefault(it.protocol, it)
    return found


def protocol_of(processor: str) -> str:
    """By which a processor of this name asks; empty for one that does not."""
    mesh = registry.processor(processor).mesh()
    return "" if mesh is None else mesh.protocol


class Deliveries:
    """`Delivery`, of several; each is told of the groups that ask by its protocol."""

    def __init__(self, every: Mapping[str, Delivery]) -> None:
        self._every = every

    @property
    def address(self) -> Address:
        """Where Envoys reach it."""
        return next(iter(self._every.values())).address

    def expect(self, groups: Sequence[Group], whole: Callable[[str], bool] | None = None) -> None:
        """All groups there are."""
        for protocol, it in self._every.items():
            it.expect([one for one in groups if protocol_of(one.processor) == protocol], whole)

    def nodes(self, group: str) -> Sequence[ClusterNode]:
        """Those of a group, by name."""
        return [node for it in self._every.values() for node in it.nodes(group)]

    def gone(self, group: str) -> Sequence[ClusterNode]:
        """The last few that left it."""
        return [node for it in self._every.values() for node in it.gone(group)]

    def strangers(self) -> Sequence[Stranger]:
        """All that are connected and served nothing."""
        return [stranger for it in self._every.values() for stranger in it.strangers()]
