"""Stands in for a program that a judge starts, so that calls go through sidecars.

    python behind.py server PORT COMMAND…     the server runs, and the judge is told the port of the sidecars
    python behind.py client PORT COMMAND…     the client runs, and is told that port in place of each server's

The conformance suite talks to both by messages with their lengths before them. A later field of a message replaces an
earlier one, so the port is put at the end and nothing has to be decoded.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import IO

_PORTS = {"server": 2, "client": 7}
"""Numbers of the fields `ServerCompatResponse.port` and `ClientCompatRequest.port`."""


def varint(number: int) -> bytes:
    """The number as protobuf writes it."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def rewrite(source: IO[bytes], sink: IO[bytes], field: int, port: int) -> None:
    """Passes messages on until there are none, with the port in place of the one that they have."""
    addition = varint(field << 3) + varint(port)
    while len(length := source.read(4)) == 4:
        message = source.read(int.from_bytes(length, "big")) + addition
        sink.write(len(message).to_bytes(4, "big") + message)
        sink.flush()


def main() -> None:
    role, port, *command = sys.argv[1:]
    tells = role == "server"
    program = subprocess.Popen(
        command, stdin=None if tells else subprocess.PIPE, stdout=subprocess.PIPE if tells else None
    )
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    source, sink = (program.stdout, sys.stdout.buffer) if tells else (sys.stdin.buffer, program.stdin)
    assert source is not None
    assert sink is not None
    rewrite(source, sink, _PORTS[role], int(port))
    sink.close()
    sys.exit(program.wait())


if __name__ == "__main__":
    main()
