"""What the loader takes for a payload: what a trusted key has signed, for this filter, and whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from envoy.extensions.filters.http.dynamic_modules.v3.dynamic_modules_pb2 import DynamicModuleFilter

from appnet.codegen.c.build import RUNTIME
from appnet.processors.envoy.build import HTTP
from appnet.processors.envoy.filters import native_filter
from appnet.processors.envoy.native.loader import signature_checks
from appnet.processors.envoy.sealed import opened, sealed
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.processors.signing import SigningKey
from tests.support.payloads import LOADER, payload_flaw
from tests.support.tiny_modules import stamping_native

NAME = "appnet.frontend_server.echo.server"
OPTIONS = ChainOptions("echo", "node-1", "v7")
KEY, OTHER = SigningKey.generate(), SigningKey.generate()

UNSET = "no module is trusted here: start the proxy with the public key of its control plane in APPNET_TRUSTED_KEYS"
MALFORMED = (
    "no module is trusted here: APPNET_TRUSTED_KEYS needs public keys of Ed25519, 1 to 8 of them, each as 64 "
    "hexadecimal digits, with commas between"
)
STRANGE = (
    "the chain is signed by none of the keys in APPNET_TRUSTED_KEYS: the proxy needs the public key of the control "
    "plane that sends it"
)


def payload(module: bytes, name: str = NAME, options: ChainOptions = OPTIONS, key: SigningKey = KEY) -> bytes:
    native = DynamicModuleFilter.FromString(native_filter(name, module, options, "loader", key).typed_config.value)
    return opened(native.filter_config)


def flaw(bytes_: bytes, name: str = NAME, trusted: str | None = KEY.public_text) -> str | None:
    return payload_flaw(bytes_, name, trusted)


def test_what_a_trusted_key_has_signed_is_taken() -> None:
    assert flaw(payload(stamping_native("1"))) is None


def test_what_nobody_trusted_has_signed_is_refused() -> None:
    assert flaw(payload(stamping_native("1"), key=OTHER)) == STRANGE


def test_a_module_is_signed_for_one_filter() -> None:
    made = payload(stamping_native("1"))
    assert flaw(made, "appnet.frontend_server.echo.client") == STRANGE
    assert flaw(made, NAME[:-1]) == STRANGE
    assert flaw(made, "") == STRANGE


def test_a_module_is_signed_with_its_options() -> None:
    one, two = (payload(stamping_native("1"), options=ChainOptions("echo", it, "v7")) for it in ("node-1", "node-2"))
    assert len(one) == len(two)
    assert flaw(one[:72] + two[72:]) == STRANGE


def test_the_boundary_of_name_and_content_is_signed() -> None:
    """The same bytes, cut elsewhere, are another text."""
    made = payload(b"module", name="appnet.a")
    assert flaw(made, "appnet.a") == "the chain is no shared object"
    shifted = made[:72] + b"a" + made[72:]
    assert flaw(shifted, "appnet.") == STRANGE


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        (None, UNSET),
        ("", UNSET),
        ("{KEY}", None),
        ("{other},{key}", None),
        (",".join(["{other}"] * 7 + ["{key}"]), None),
        ("{other}", STRANGE),
        (",".join(["{key}"] * 9), MALFORMED),
        ("{key},", MALFORMED),
        (",{key}", MALFORMED),
        ("{key}, {other}", MALFORMED),
        ("{key};{other}", MALFORMED),
        (" {key}", MALFORMED),
        ("{key}\n", MALFORMED),
        ("{key}0", MALFORMED),
        ("{cut}", MALFORMED),
        ("{cut}g", MALFORMED),
        ("{key},00", MALFORMED),
        ("{key}," + "00" * 32, MALFORMED),  # of order 4
        ("{key},01" + "00" * 31, MALFORMED),  # the neutral point
        ("all", MALFORMED),
    ],
)
def test_whom_the_proxy_trusts(trusted: str | None, expected: str | None) -> None:
    names = {
        "key": KEY.public_text,
        "other": OTHER.public_text,
        "KEY": KEY.public_text.upper(),
        "cut": KEY.public_text[:-1],
    }
    filled = trusted if trusted is None else trusted.format(**names)
    assert flaw(payload(stamping_native("1")), trusted=filled) == expected


def test_a_payload_cut_anywhere_is_refused() -> None:
    whole = payload(stamping_native("1"))
    for size in range(72):
        assert flaw(whole[:size]) == ("this is no chain" if size < 8 else "the chain is cut short")
    for size in range(72, len(whole), 7):
        assert flaw(whole[:size]) == STRANGE


def test_what_is_signed_and_malformed_is_refused() -> None:
    """A trusted key may have signed nonsense; it is refused all the same."""

    def signed(content: bytes) -> bytes:
        text = b"AppNet native module, payload 4\n" + len(NAME).to_bytes(4, "little") + NAME.encode() + content
        return b"APPNETM4" + KEY.sign(text) + content

    options = OPTIONS.encode()
    assert flaw(signed(b"")) == "the chain is cut short"
    assert flaw(signed(b"\0\0\0")) == "the chain is cut short"
    assert flaw(signed(b"\xff\xff\xff\xff" + options)) == "the chain is cut short"
    assert flaw(signed(bytes(4))) == "the chain is cut short"
    assert flaw(signed(bytes(8))) == "the chain's options are for another loader"
    told = len(options).to_bytes(4, "little") + options
    assert flaw(signed(told + bytes(4))) == "the chain is no shared object"
    assert flaw(signed(told + b"\1\0\0\0\0")) == "the chain's options are for another loader"
    state = StoreOptions("redis://ann:secret@store:7000/2", "test", 0.05, 0.1).encode()
    assert flaw(signed(told + len(state).to_bytes(4, "little") + state)) == "the chain is no shared object"
    longer = state + b"\0"
    assert (
        flaw(signed(told + len(longer).to_bytes(4, "little") + longer)) == "the chain's options are for another loader"
    )


@pytest.mark.parametrize("outside", [bytes, lambda it: sealed(it).value], ids=["payload", "sealed"])
def test_hostile_payloads_read_and_write_nothing_out_of_place(
    tmp_path: Path, outside: Callable[[bytes], bytes]
) -> None:
    """Cut anywhere and changed anywhere, from memory that ends where they end, under sanitizers."""
    program, whole = tmp_path / "hostile", tmp_path / "payload"
    whole.write_bytes(outside(payload(stamping_native("1"))))
    here = Path(__file__).parent / "c" / "hostile_payloads.c"
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", *(f"-I{it}" for it in (RUNTIME, HTTP, LOADER))]
    checks = tmp_path / "checks.o"
    shutil.copy(signature_checks(), checks)
    compiler = [shutil.which("cc") or "cc", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [*compiler, *flags, here, checks, "-o", program]
    if shutil.which("cc") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        # zig's own sanitizer finds undefined behaviour, though not every stray read
        compiler = [sys.executable, "-m", "ziglang", "cc", "-fsanitize=undefined"]
        subprocess.run([*compiler, *flags, here, checks, "-o", program], check=True)
    arguments = [str(program), str(whole), NAME, KEY.public_text, "61"]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    taken, refused = map(int, run.stdout.split())
    assert taken == 1
    assert refused > 2 * 1024
