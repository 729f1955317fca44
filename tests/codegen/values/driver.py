"""Generated chains in a process of their own, under sanitizers, side by side with the interpreter."""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appnet.codegen.c.printer import ChainSource, print_chain
from appnet.interpret import ChainInstance, Environment, Forwarded, Outcome, Refused, Rpc, dump
from appnet.interpret.values import Value
from appnet.ir.nodes import Element
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, STRING, Type
from tests.support.native_host import INCLUDE

_HERE = Path(__file__).parent
_DIRECTORY = tempfile.TemporaryDirectory(prefix="appnet-driver-")


def _compiler() -> list[str]:
    gcc = shutil.which("gcc")
    if gcc is not None:
        return [gcc, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    return [sys.executable, "-m", "ziglang", "cc", "-fsanitize=undefined", "-fno-sanitize-trap=all"]


@functools.cache
def build(source: str) -> Path:
    """The chain and the driver as a program, with every sanitizer that the machine's compiler has."""
    directory = Path(tempfile.mkdtemp(dir=_DIRECTORY.name))
    unit = ["#define _GNU_SOURCE 1", source, '#include "runtime.c"', f'#include "{_HERE}/driver.c"', ""]
    (directory / "chain.c").write_text("\n".join(unit))
    flags = ["-std=c11", "-O1", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", *INCLUDE]
    program = directory / "chain"
    run = subprocess.run(
        [*_compiler(), *flags, "-o", program, directory / "chain.c"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return program


def signature(**kinds: tuple[Type, str]) -> MethodSignature:
    """A method whose request and response have these fields, numbered from 1."""
    fields = {path: Field(path, kinds[path][0], (n,), kinds[path][1]) for n, path in enumerate(kinds, start=1)}
    schema = MessageSchema("driver.Message", fields)
    return MethodSignature("/driver.Driver/Call", schema, schema)


class DriverError(AssertionError):
    """The program ended, or said what it should not."""


@dataclass
class Driver:
    """A chain that runs in C and in the interpreter at once; each step is compared.

    ``fail_at``: the allocation of instance_new from which on all fail, for a driver that compares nothing.
    """

    elements: Sequence[Element]
    method: MethodSignature
    seed: int = 1
    backends: int = 0
    fail_at: int = 0
    now: int = 0
    _calls: dict[int, Rpc] = field(default_factory=dict)

    def __post_init__(self) -> None:
        source = print_chain(ChainSource("driven", "1", [(self.method, self.elements)]))
        arguments = [str(self.seed), str(self.backends), str(self.fail_at)]
        self._process = subprocess.Popen(
            [build(source), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self._answer() == "ready"
        self.reference = ChainInstance(self.elements, Environment(lambda: self.now, self.seed, self.backends))

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        _, errors = self._process.communicate(timeout=60)
        if self._process.returncode != 0:
            raise DriverError(errors)

    def send(self, line: str) -> str:
        """The answer to one line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DriverError(self._process.communicate(timeout=60)[1])
        return line.rstrip("\n")

    def set_clock(self, now: int) -> None:
        self.now = now
        self.send(f"now {now}")

    def begin(self) -> int:
        number = int(self.send("call"))
        self._calls[number] = Rpc(self.method)
        return number

    def request(self, call: int, message: Mapping[str, Value], metadata: Mapping[str, bytes] | None = None) -> Outcome:
        """Judges the request twice, and returns what both say."""
        rpc = self._calls[call]
        rpc.message, rpc.metadata = dict(message), dict(metadata or {})
        fields = self._arguments(self.method.request, rpc.message, rpc.metadata)
        answer = self.send(f"req {call} {fields}")
        return self._compare(answer, self.reference.request(rpc), self.method.request, rpc.metadata)

    def response(
        self, call: int, message: Mapping[str, Value], metadata: Mapping[str, bytes] | None = None, status: int = 0
    ) -> Outcome:
        """Judges the response twice, and returns what both say."""
        rpc = self._calls[call]
        rpc.message, rpc.response_metadata = dict(message), dict(metadata or {})
        fields = self._arguments(self.method.response, rpc.message, rpc.response_metadata)
        answer = self.send(f"resp {call} {status} {fields}")
        return self._compare(answer, self.reference.response(rpc, status), self.method.response, rpc.response_metadata)

    def end(self, call: int) -> None:
        self.send(f"free {call}")
        self.reference.end(self._calls.pop(call))

    def check_state(self) -> str:
        """The state, which both say is this."""
        state = self.dump()
        assert state == dump(self.reference)
        return state

    def dump(self) -> str:
        return bytes.fromhex(self.send("dump")).decode()

    def _compare(self, answer: str, outcome: Outcome, schema: MessageSchema, metadata: Mapping[str, bytes]) -> Outcome:
        if isinstance(outcome, Refused):
            expected = f"R {outcome.code} {outcome.text.hex()}"
            assert answer == expected, (answer, outcome)
        else:
            written = {f"{schema.fields[path].numbers[0]}={text_of(value, schema.fields[path].type)}"
                       for path, value in outcome.written.items()}  # fmt: skip
            headers = {f"{key}:{value.hex()}" for key, value in metadata.items()}
            assert answer[:1] == "F", answer
            assert set(answer.split()[1:]) == written | headers, (answer, outcome)
        return outcome

    @staticmethod
    def _arguments(schema: MessageSchema, message: Mapping[str, Value], metadata: Mapping[str, bytes]) -> str:
        fields = [
            f"{schema.fields[path].numbers[0]}={text_of(value, schema.fields[path].type)}"
            for path, value in message.items()
        ]
        return " ".join([*fields, *(f"{key}:{value.hex()}" for key, value in metadata.items())])


def text_of(value: Value, type_: Type) -> str:
    """A field's value as the driver writes it."""
    if type_ in (STRING, BYTES):
        return value.hex()
    if type_ == BOOL:
        return f"{int(value):x}"
    if type_ == FLOAT:
        return f"{struct.unpack('<Q', struct.pack('<d', value))[0]:x}"
    return f"{value % 2**64:x}"


__all__ = ["Driver", "DriverError", "Forwarded", "Refused", "build", "signature", "text_of"]
