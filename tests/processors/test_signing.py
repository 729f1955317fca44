"""Keys that native modules are signed with: how they are kept, and what is said where there is none."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appnet.processors.signing import TRUSTED_KEYS, SigningKey, SigningKeyError, trusted_keys, user_key


def test_a_signature_is_verified_by_the_public_text() -> None:
    key = SigningKey.generate()
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_text)).verify(key.sign(b"text"), b"text")


def test_a_key_survives_its_pem() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_pem(key.to_pem())
    assert (again.public_text, again.sign(b"text")) == (key.public_text, key.sign(b"text"))
    assert SigningKey.generate().public_text != key.public_text


def test_the_secret_shows_in_no_text_of_the_key() -> None:
    key = SigningKey.generate()
    secret = b"".join(key.to_pem().splitlines()[1:-1]).decode()
    assert secret not in repr(key) + str(key) + repr(vars(key))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no key",
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        SigningKey.generate().to_pem()[:-40],
    ],
    ids=["empty", "text", "another-curve", "cut"],
)
def test_what_is_no_key_of_ed25519_is_refused(pem: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no private key of Ed25519"):
        SigningKey.from_pem(pem)
    file = tmp_path / "key.pem"
    file.write_bytes(pem)
    with pytest.raises(SigningKeyError) as told:
        SigningKey.load_or_make(file)
    assert str(told.value) == (
        f"{file} is no signing key: there is no private key of Ed25519 in it, in PEM and without a password; "
        "make one with openssl genpkey -algorithm ed25519"
    )
    assert file.read_bytes() == pem


def test_a_key_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "state" / "appnet" / "key.pem"
    old = os.umask(0)
    try:
        made = SigningKey.load_or_make(file)
    finally:
        os.umask(old)
    assert SigningKey.load_or_make(file).public_text == made.public_text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_all_who_make_it_at_once_have_the_same(tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / str(number) / "key.pem"
        with ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda _, file=file: SigningKey.load_or_make(file).public_text, range(8))
        assert len(set(made)) == 1


def test_a_place_where_nothing_can_be_made_is_told() -> None:
    with pytest.raises(SigningKeyError) as told:
        SigningKey.load_or_make(Path("/proc/none/key.pem"))
    assert str(told.value) == (
        "the signing key /proc/none/key.pem cannot be read or made: No such file or directory; "
        "set APPNET_SIGNING_KEY to a file for it"
    )


def test_the_users_key_is_in_the_folder_for_state_or_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = user_key().public_text
    assert SigningKey.load_or_make(tmp_path / "appnet" / "signing-key.pem").public_text == kept
    monkeypatch.setenv("APPNET_SIGNING_KEY", str(tmp_path / "another.pem"))
    assert user_key().public_text != kept
    assert user_key().public_text == user_key().public_text
    monkeypatch.delenv("APPNET_SIGNING_KEY")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    user_key()
    assert (tmp_path / "home" / ".local" / "state" / "appnet" / "signing-key.pem").exists()


def test_a_key_that_openssl_makes_is_one(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    try:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", file], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    assert re.fullmatch("[0-9a-f]{64}", SigningKey.load_or_make(file).public_text)


def test_proxies_are_told_the_users_key_or_those_that_the_variable_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv(TRUSTED_KEYS, raising=False)
    own, other = user_key(), SigningKey.generate()
    assert trusted_keys() == trusted_keys(own) == own.public_text
    monkeypatch.setenv(TRUSTED_KEYS, other.public_text)
    assert trusted_keys() == other.public_text
    assert trusted_keys(own) == f"{other.public_text},{own.public_text}", "or nothing that it signs would run"
    assert trusted_keys(other) == other.public_text


@pytest.mark.parametrize("named", ["no key", "00", f"{'00' * 32},", ",".join(["11" * 32] * 9), f"{'AB' * 32}"])
def test_what_no_proxy_would_take_is_told_before(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED_KEYS, named)
    with pytest.raises(SigningKeyError, match="it has to be up to 8 public keys, each as 64 hexadecimal digits"):
        trusted_keys()
