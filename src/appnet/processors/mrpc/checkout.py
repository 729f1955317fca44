"""A checkout of Phoenix: whether it is one that AppNet knows, and the adapter in its workspace."""

from __future__ import annotations

import filecmp
import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appnet.processors.managed import Finding
from appnet.processors.mrpc.standing import LIBRARY, PROGRAMS, TRANSPORTS
from appnet.processors.processor import ProcessorError

CRATES = ("appnet-mrpc-host", "phoenix-appnet")
"""What is added, beside each other: ours without Phoenix, and the adapter to its traits."""

_HERE = Path(__file__).parent
_MRPC = Path("experimental", "mrpc")
_PLUGINS = "plugin"
_TYPES = {
    "enum Request": ("NewClient", "EngineRequest", "ListSubscription", "AttachAddon", "DetachAddon", "Upgrade"),
    "struct AddonRequest": (
        *("pid", "sid", "addon_engine", "tx_channels_replacements", "rx_channels_replacements"),
        *("group", "config_path", "config_string"),
    ),
    "enum ResponseKind": ("NewClient", "ListSubscription", "ConnectEngine"),
    "struct ServiceSubscriptionInfo": ("pid", "sid", "service", "engines", "addons"),
}
"""Of the control messages, in the order that decides their bytes."""

_ITEM = re.compile(r"^    (?:pub )?(\w+)", re.MULTILINE)
_OTHER = "use the checkout that docs/mrpc.md names: AppNet was written for that"


@dataclass(frozen=True)
class _Checkout:
    root: Path

    @staticmethod
    def at(path: Path) -> _Checkout:
        """The one that ``path`` is, or is the mRPC of."""
        inner = path.resolve().parts[-2:] == _MRPC.parts
        return _Checkout(path.resolve().parents[1] if inner else path)

    @property
    def plugins(self) -> Path:
        return self.root / _MRPC / _PLUGINS

    @property
    def workspace(self) -> Path:
        return self.root / _MRPC / "Cargo.toml"

    def text(self, *path: str) -> str:
        try:
            return self.root.joinpath(*path).read_text(errors="replace")
        except OSError:
            return ""

    def members(self) -> list[str]:
        found = _toml(self.text(*_MRPC.parts, "Cargo.toml")).get("workspace", {}).get("members", [])
        return [str(it) for it in found] if isinstance(found, list) else []


def findings(checkout: Path) -> list[Finding]:
    """What of it fits what AppNet expects."""
    it = _Checkout.at(checkout)
    there = "mRPC's workspace" if it.members() else ""
    remedy = f"{checkout} is no checkout of phoenix-dataplane/phoenix, nor its folder {_MRPC}"
    return [Finding("workspace of mRPC", there, remedy), *(_parts(it) if there else ())]


def _parts(it: _Checkout) -> Iterator[Finding]:
    control = it.text("src", "ipc", "src", "control.rs")
    wrong = [name for name, items in _TYPES.items() if _items(control, name) != items]
    same = "" if wrong else f"{len(_TYPES)} types as AppNet knows them"
    yield Finding("control messages", same, f"{' and '.join(wrong)} differs: {_OTHER}")
    needed = _toml(it.text("Cargo.toml")).get("workspace", {}).get("dependencies", {})
    bincode = needed.get("bincode", "")
    yield Finding("bincode 1", bincode if str(bincode).startswith("1.") else "", _OTHER)
    api = needed.get("phoenix-api", {})
    tag = api.get("tag", "") if isinstance(api, dict) else ""
    yield Finding("phoenix-api v0.1", tag if tag.startswith("v0.1.") else "", _OTHER)
    traits = it.text("src", "phoenix_common", "src", "engine", "mod.rs")
    addon = it.text("src", "phoenix_common", "src", "addon.rs")
    known = "fn handle_request(&mut self" in traits and "pub trait PhoenixAddon" in addon
    yield Finding("traits of addons", "engines take requests" if known else "", _OTHER)
    engines = [name for name in (PROGRAMS, *TRANSPORTS) if _names_engine(it, name)]
    ready = PROGRAMS in engines and len(engines) > 1
    yield Finding("engines around ours", ", ".join(engines) if ready else "", _OTHER)
    channel = _toml(it.text("rust-toolchain")).get("toolchain", {}).get("channel", "")
    yield Finding("toolchain", channel, "it has no file rust-toolchain: Phoenix needs a nightly of its own")
    yield Finding("adapter", _adapter(it), f"`compile --backend mrpc --mrpc-dir {it.root}` places it", optional=True)
    library = f"lib{LIBRARY}.rlib"
    built = it.root / "target" / "phoenix" / "release" / library
    there = library if built.is_file() else ""
    yield Finding("adapter, built", there, "build it as docs/mrpc.md says", optional=True)


def _items(text: str, type_: str) -> tuple[str, ...]:
    """The names of variants or fields of a Rust type, in order."""
    _, found, rest = text.partition(f"pub {type_} {{\n")
    return tuple(_ITEM.findall(rest.partition("\n}")[0])) if found else ()


def _names_engine(it: _Checkout, name: str) -> bool:
    return any(f'"{name}"' in it.text(*file.relative_to(it.root).parts) for file in it.plugins.glob("*/src/module.rs"))


def _adapter(it: _Checkout) -> str:
    """Whether it is there, as this AppNet has it."""
    source = crates()
    if source is None or any(f"{_PLUGINS}/{crate}" not in it.members() for crate in CRATES):
        return ""
    same = all(
        (it.plugins / crate / path).is_file() and filecmp.cmp(source / crate / path, it.plugins / crate / path, False)
        for crate in CRATES
        for path in _files(source / crate)
    )
    return "placed" if same else ""


def crates() -> Path | None:
    """The folder of our crates: in the package where it was installed from a wheel, else in the clone."""
    for folder in (_HERE / "rust", _HERE.parents[3] / "rust"):
        if all((folder / crate / "Cargo.toml").is_file() for crate in CRATES):
            return folder
    return None


def place(checkout: Path) -> list[Path]:
    """Copies our crates among mRPC's plugins, and names them in its workspace; what is there already is replaced.

    Raises `ProcessorError` where that cannot be done; then the workspace is as it was.
    """
    it, source = _Checkout.at(checkout), crates()
    if source is None:
        raise ProcessorError("this AppNet has no adapter for mRPC: install it again, or use a clone")
    if not it.members():
        remedy = "pass a checkout of phoenix-dataplane/phoenix, or its experimental/mrpc"
        raise ProcessorError(f"{checkout} has no workspace of mRPC: {remedy}")
    written: list[Path] = []
    try:
        for crate in CRATES:
            for path in _files(source / crate):
                target = it.plugins / crate / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / crate / path, target)
                written.append(target)
        if _name_crates(it):
            written.append(it.workspace)
    except OSError as error:
        raise ProcessorError(f"the adapter cannot be placed in {checkout}: {error.strerror}") from error
    return written


def _name_crates(it: _Checkout) -> bool:
    """Adds the crates to the members of the workspace; False where they are there."""
    missing = [f"{_PLUGINS}/{crate}" for crate in CRATES if f"{_PLUGINS}/{crate}" not in it.members()]
    if not missing:
        return False
    text = it.workspace.read_text()
    lines = "".join(f'  "{name}",\n' for name in missing)
    changed, count = re.subn(r"^members = \[\n", f"members = [\n{lines}", text, count=1, flags=re.MULTILINE)
    if not count:
        raise ProcessorError(
            f"{it.workspace} lists its members in a way of its own: add {' and '.join(missing)} to them"
        )
    it.workspace.write_text(changed)
    return True


def _files(crate: Path) -> list[Path]:
    """Those of a crate, without what cargo has built."""
    found = (it.relative_to(crate) for it in sorted(crate.rglob("*")) if it.is_file())
    return [it for it in found if "target" not in it.parts]


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
