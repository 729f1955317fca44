"""Code for several machines in one piece: what a library's chain is built to; `appnet.grpc.container` reads it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from appnet.grpc.container import MAGIC, read_container


@dataclass(frozen=True)
class Container:
    """``code``: by machine, as Go names them; ``wasm32`` is the code for any other."""

    code: Mapping[str, bytes]

    def pack(self) -> bytes:
        """As it travels."""
        heads = [
            struct.pack("<B", len(machine))
            + machine.encode()
            + hashlib.sha256(code).digest()
            + struct.pack("<I", len(code))
            for machine, code in self.code.items()
        ]
        return b"".join([MAGIC, struct.pack("<I", len(heads)), *heads, *self.code.values()])

    @staticmethod
    def unpack(packed: bytes) -> Container:
        """What was packed. Raises `ValueError` for anything else."""
        return Container(read_container(packed))
