"""A checkout of Phoenix: what fits, and the crates that are added. The checkouts here are a few files of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.processors.mrpc import checkout
from appnet.processors.mrpc.checkout import CRATES, crates, findings, place
from appnet.processors.processor import ProcessorError

CONTROL = """
pub enum Request {
    NewClient(u64),
    EngineRequest(u64),
    ListSubscription,
    AttachAddon(u64),
    DetachAddon(u64),
    Upgrade(u64),
}
pub struct AddonRequest {
    pub pid: u64,
    pub sid: u64,
    pub addon_engine: u64,
    pub tx_channels_replacements: u64,
    pub rx_channels_replacements: u64,
    pub group: u64,
    pub config_path: u64,
    pub config_string: u64,
}
pub struct ServiceSubscriptionInfo {
    pub pid: u64,
    pub sid: u64,
    pub service: u64,
    pub engines: u64,
    pub addons: u64,
}
pub enum ResponseKind {
    NewClient(u64),
    ListSubscription(u64),
    ConnectEngine {
        mode: u64,
    },
}
"""
FILES = {
    "Cargo.toml": '[workspace.dependencies]\nbincode = "1.3.3"\nphoenix-api = { git = "x", tag = "v0.1.0" }\n',
    "rust-toolchain": '[toolchain]\nchannel = "nightly-2024-05-01"\n',
    "src/ipc/src/control.rs": CONTROL,
    "src/phoenix_common/src/engine/mod.rs": "    fn handle_request(&mut self, _: Vec<u8>) {}",
    "src/phoenix_common/src/addon.rs": "pub trait PhoenixAddon {}",
    "experimental/mrpc/Cargo.toml": '[workspace]\nmembers = [\n  "plugin/mrpc",\n]\n',
    "experimental/mrpc/plugin/mrpc/src/module.rs": 'EngineType("MrpcEngine")',
    "experimental/mrpc/plugin/tcp/src/module.rs": 'EngineType("TcpRpcAdapterEngine")',
}


@pytest.fixture
def phoenix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as AppNet knows it; beside it crates that stand for ours, with something that cargo has built."""
    for path, text in FILES.items():
        file = tmp_path / "phoenix" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for crate in CRATES:
        for path in ("Cargo.toml", "src/lib.rs", "target/debug/built"):
            file = tmp_path / "rust" / crate / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(crate)
    monkeypatch.setattr(checkout, "crates", lambda: tmp_path / "rust")
    return tmp_path / "phoenix"


def lacking(folder: Path) -> list[str]:
    return [it.name for it in findings(folder) if not it.found]


def test_all_fits_but_what_is_added_later(phoenix: Path) -> None:
    for folder in (phoenix, phoenix / "experimental" / "mrpc"):
        assert lacking(folder) == ["adapter", "adapter, built"]
        assert all(it.optional == (it.name in lacking(folder)) for it in findings(folder))


@pytest.mark.parametrize(
    ("path", "before", "after", "name"),
    [
        ("src/ipc/src/control.rs", "    ListSubscription,\n", "", "control messages"),
        ("src/ipc/src/control.rs", "pub group: u64", "pub groups: u64", "control messages"),
        ("Cargo.toml", "1.3.3", "2.0.0", "bincode 1"),
        ("Cargo.toml", "v0.1.0", "v0.2.0", "phoenix-api v0.1"),
        ("src/phoenix_common/src/addon.rs", "PhoenixAddon", "Addon", "traits of addons"),
        ("experimental/mrpc/plugin/tcp/src/module.rs", "TcpRpcAdapterEngine", "Other", "engines around ours"),
        ("rust-toolchain", "[toolchain]", "[", "toolchain"),
    ],
)
def test_what_does_not_fit_is_named(phoenix: Path, path: str, before: str, after: str, name: str) -> None:
    file = phoenix / path
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    assert lacking(phoenix) == [name, "adapter", "adapter, built"]
    assert all(it.remedy for it in findings(phoenix))


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    assert lacking(tmp_path) == ["workspace of mRPC"]
    with pytest.raises(ProcessorError, match=r"has no workspace of mRPC: pass a checkout|has no adapter"):
        place(tmp_path)


def test_the_adapter_is_placed_once(phoenix: Path) -> None:
    written = place(phoenix / "experimental" / "mrpc")
    assert len(written) == 2 * len(CRATES) + 1, "nothing that was built"
    workspace = phoenix / "experimental" / "mrpc" / "Cargo.toml"
    members = "".join(f'  "plugin/{crate}",\n' for crate in CRATES)
    assert workspace.read_text() == f'[workspace]\nmembers = [\n{members}  "plugin/mrpc",\n]\n'
    assert lacking(phoenix) == ["adapter, built"]
    assert workspace not in place(phoenix)
    (phoenix / "experimental" / "mrpc" / "plugin" / CRATES[0] / "src" / "lib.rs").write_text("older")
    assert lacking(phoenix) == ["adapter", "adapter, built"]


def test_a_workspace_in_another_form_is_told(phoenix: Path) -> None:
    (phoenix / "experimental" / "mrpc" / "Cargo.toml").write_text('[workspace]\nmembers = ["plugin/mrpc"]\n')
    with pytest.raises(ProcessorError, match="lists its members in a way of its own: add plugin/appnet-mrpc-host"):
        place(phoenix)


def test_our_crates_are_there() -> None:
    folder = crates()
    assert folder is not None
    assert all((folder / crate / "src" / "lib.rs").is_file() for crate in CRATES)
