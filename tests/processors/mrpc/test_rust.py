"""The crates in Rust by their own tests and lints."""

from __future__ import annotations

import shutil

import pytest

from tests.processors.mrpc.crate import DRIVE, NEEDS_CARGO, cargo, driver, target

pytestmark = NEEDS_CARGO


def test_tests_and_examples():
    told = cargo("test", "--quiet")
    assert "test result: ok. 8 passed" in told


def test_lints():
    if shutil.which("cargo-clippy") is None:
        pytest.skip("needs cargo's linter: rustup component add clippy, or apt install rust-clippy")
    cargo("clippy", "--quiet", "--all-targets", "--", "-D", "warnings")
    driver()  # it writes the messages that its lints look at, too
    messages = str(target() / "messages.rs")
    cargo("clippy", "--quiet", "--", "-D", "warnings", folder=DRIVE, APPNET_MESSAGES=messages)


def test_docs():
    cargo("doc", "--quiet", "--no-deps", RUSTDOCFLAGS="-D warnings")


def test_format():
    if shutil.which("cargo-fmt") is None:
        pytest.skip("needs cargo's formatter: rustup component add rustfmt, or apt install rustfmt")
    cargo("fmt", "--check")
    cargo("fmt", "--check", folder=DRIVE)
