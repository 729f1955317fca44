"""What examples of pages bring when they are run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from appnet.analysis import Vocabulary, load_overrides
from appnet.application.load import load
from appnet.application.proto import load_proto
from appnet.behaviour.reader import load_behaviour
from appnet.compile.check import check_source
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.pages import page
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.language.messages import MethodSignature
from appnet.optimize import prices
from appnet.optimize.cost import CostModel
from appnet.optimize.profile import load_profiles

_EXAMPLE = re.compile(r"^```(?P<kind>[^\n]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ROOT = Path(__file__).parents[2]
SHOP = """syntax = "proto3";
message Order { repeated Item items = 1; string user = 2; }
message Item { string sku = 1; }
service Shop { rpc Buy(Order) returns (Order); }
"""
BLOCKS = {
    "state": "state:\n    pass\n",
    "init": "init():\n    pass\n",
    "open": "",
    "req": "req(rpc):\n    send(rpc, Down)\n",
    "resp": "resp(rpc):\n    send(rpc, Up)\n",
    "end": "",
}
APPLICATION = """app_name: echo
app_manifest: echo.yaml
app_structure:
  - frontend->server
edge:
  frontend->server:
    - {method: echo, name: fault, path: fault.appnet, proto: echo.proto}
"""


@dataclass(frozen=True)
class Example:
    """``kind``: what its fence says."""

    kind: str
    text: str


def examples(code: str) -> tuple[Example, Example]:
    """What brings the code, and what does not, as its page has them."""
    before, after = (Example(it["kind"], it["text"]) for it in _EXAMPLE.finditer(page(code).body))
    return before, after


def run_example(example: Example, folder: Path) -> list[Diagnostic]:
    """Errors and warnings of the example, whose files go to ``folder``. Raises KeyError for one that cannot be run."""
    run = _RUNS[example.kind]
    shutil.copytree(ROOT / "config" / "samples", folder, dirs_exist_ok=True)
    echo = folder / "echo"
    shutil.copy(echo / "echo.proto", echo / "other.proto")
    try:
        return list(run(example.text, echo))
    except DiagnosticError as error:
        return error.diagnostics


def element(text: str) -> str:
    """The whole program of which ``text`` shows some blocks."""
    shown = {name: part for part in _parts(text) if (name := re.match(r"\w+", part)[0])}  # type: ignore[index]
    return "\n".join(shown.get(name, block) for name, block in BLOCKS.items())


def config(text: str, echo: Path) -> str:
    """The AppNetConfig of which ``text`` shows some keys."""
    return _merged((echo / "sample_echo_sidecar.yaml").read_text(), text)


def _merged(base: str, text: str) -> str:
    """``text`` and, of ``base``, the keys that it does not have; so one level deeper for mappings."""
    text, _, others = text.partition("---\n")
    keys = {_key(it): it for it in _parts(text)}
    parts = []
    for part in _parts(base):
        own = keys.get(_key(part))
        if own is None:
            parts.append(part)
        elif "\n" in own.strip() and not re.match(r"\S+\n *-", own) and "\n  " in part:
            inner = {_key(it) for it in _parts(own.split("\n", 1)[1], indent=2)}
            kept = [it for it in _parts(part.split("\n", 1)[1], indent=2) if _key(it) not in inner]
            parts.append(own + "".join(kept))
        else:
            parts.append(own)
    parts += [it for key, it in keys.items() if key not in {_key(it) for it in _parts(base)}]
    return "".join(parts) + (f"---\n{others}" if others else "")


def _parts(text: str, indent: int = 0) -> list[str]:
    """The lines that begin at the column ``indent``, each with what belongs to it."""
    begin = rf"^ {{{indent}}}(?=[^\s#-])"
    return [it for it in re.split(f"(?m)(?={begin})", text) if re.match(begin, it)]


def _key(part: str) -> str:
    return part.strip().split(":", 1)[0]


def _element(text: str, method: MethodSignature) -> Iterable[Diagnostic]:
    return compile_element(TextSource(Path("it.appnet"), text), method).warnings


def _file(name: str, make: Callable[[str, Path], str]) -> Callable[[str, Path], Iterable[Diagnostic]]:
    """Writes a file, and checks it."""

    def run(text: str, echo: Path) -> Iterable[Diagnostic]:
        file = echo / name
        file.write_text(make(text, echo))
        return check_source(FileSource(file))

    return run


def _of_echo(text: str, echo: Path) -> Iterable[Diagnostic]:
    return _element(element(text), load_proto(FileSource(echo / "echo.proto")).method("echo"))


def _of_shop(text: str, echo: Path) -> Iterable[Diagnostic]:
    (echo / "shop.proto").write_text(SHOP)
    return _element(element(text), load_proto(FileSource(echo / "shop.proto")).method("Buy"))


def _manifest(text: str, echo: Path) -> str:
    (echo / "example.yaml").write_text(text)
    return config("spec:\n  appManifestFile: example.yaml\n", echo)


def _behaviour(text: str, echo: Path) -> Iterable[Diagnostic]:
    file = echo.parent / "elements" / "acl.behaviour.yaml"
    file.write_text(text)
    load_behaviour(FileSource(file))
    return ()


def _profile(text: str, echo: Path) -> Iterable[Diagnostic]:
    file = echo / "profile.yaml"
    file.write_text(text)
    chains = [it.chain for it in load(FileSource(echo / "sample_echo_sidecar.yaml")).chains]
    load_profiles(FileSource(file), chains)
    return ()


def _prices(text: str, echo: Path) -> Iterable[Diagnostic]:
    file = echo / "prices.yaml"
    prices.write_prices(CostModel("for a test", {}, 20.0), file)
    file.write_text(text if text.startswith("-") else _merged(file.read_text(), text))
    prices.load_prices(FileSource(file), ())
    return ()


def _properties(text: str, echo: Path) -> Iterable[Diagnostic]:
    file = echo / "properties.yaml"
    file.write_text(text)
    edge = load(FileSource(echo / "sample_echo_sidecar.yaml")).chains[0]
    known = {name: Vocabulary.of(it, [edge.method]) for name, it in edge.elements.items()}
    load_overrides(FileSource(file), known)
    return ()


_RUNS: dict[str, Callable[[str, Path], Iterable[Diagnostic]]] = {
    "appnet": _of_echo,
    "appnet whole": lambda text, echo: _element(text, load_proto(FileSource(echo / "echo.proto")).method("echo")),
    "appnet shop": _of_shop,
    "yaml config": _file("config.yaml", config),
    "yaml application": _file("application.yaml", lambda text, _: _merged(APPLICATION, text)),
    "yaml manifest": _file("config.yaml", _manifest),
    "yaml behaviour": _behaviour,
    "yaml profile": _profile,
    "yaml prices": _prices,
    "yaml properties": _properties,
    "proto": _file("example.proto", lambda text, _: text),
}
RUN = frozenset(_RUNS)
"""The kinds of examples that can be run."""
