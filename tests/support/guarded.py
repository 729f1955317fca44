"""The echo application behind guards: elements that may swap, cost much, and refuse a word each."""

from __future__ import annotations

import hmac
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
GUARD = """\
# Refuses one word, of which it knows only a hash.
state:
    hash: string

init(hash = ''):
    pass

req(rpc):
    found = hmac(hmac(hmac(get(rpc, 'Body'), 'pepper'), 'pepper'), 'pepper')
    found = hmac(hmac(hmac(found, 'pepper'), 'pepper'), 'pepper')
    if found == hash:
        send(err('refused', PERMISSION_DENIED), Up)
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""


def guarded(folder: Path, words: Sequence[str], replan: object, chain: str = "clientChain") -> Path:
    """A copy of the echo sample in ``folder``, with a guard for each of the words, named as the word is; its
    configuration."""
    shutil.copytree(ECHO, folder / "echo", ignore=shutil.ignore_patterns("local.yaml"))
    config = folder / "echo" / "sample_echo_sidecar.yaml"
    config.with_name("guard.appnet").write_text(GUARD)
    written = yaml.safe_load(config.read_text())
    spec = {key: it for key, it in written["spec"].items() if not key.endswith("Chain")}
    spec[chain] = [{"name": it, "file": "guard.appnet", "parameters": {"hash": hash_of(it)}} for it in words]
    spec["replan"] = replan
    config.write_text(yaml.safe_dump({**written, "spec": spec}, sort_keys=False))
    return config


def hash_of(word: str) -> str:
    """What a guard knows of the word that it refuses."""
    text = word
    for _ in range(6):
        text = hmac.new(b"pepper", text.encode(), "sha256").hexdigest()
    return text
