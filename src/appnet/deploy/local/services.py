"""The application file: how the services of an application run on this machine.

`local.yaml`, beside the application's manifest, has a command for each service; docs/local.md shows one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import re2
import yaml

from appnet.application.kinds import LOCAL
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.remedy import near
from appnet.diagnostics.yaml_reader import Located, Problems, Section, node_span, read_documents
from appnet.system.address import MAX_PORT

INSTANCE = "APPNET_INSTANCE"
"""The variable that tells a program its instance's name."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_REPLICAS = 100
_MAX_STARTUP_SECONDS = 3_600
_STARTUP_SECONDS = 30.0
_SERVICE_KEYS = ("command", "folder", "port", "upstreams", "environment", "health", "replicas", "startupSeconds")
_CALL_KEYS = ("get", "service", "method", "sends", "answers", "prints", "failed")
_PORT_HELP = "write the variable that holds the program's port, `port: PORT`, or the port number"
_HEALTH_HELP = "write `tcp`, `grpc`, or the path of a page: `health: /healthz`"


Written = Mapping[str, Located]
"""Fields of a message as the file has them, by path."""


@dataclass(frozen=True)
class Port:
    """How a program and AppNet agree on a port.

    ``number``: a fixed one; ``variable``: of the program's environment, where it finds that, or a free one;
    ``printed``: a pattern of RE2 with one group, which finds it in what the program writes.
    """

    number: int | None = None
    variable: str = ""
    printed: Any = None


@dataclass(frozen=True)
class LocalService:
    """A service's program. ``command``: its words, in which `$NAME` is a variable of ``environment`` and the rest.

    ``upstreams``: by service, the variable that holds where calls to it go, as HOST:PORT. ``health``: "tcp", "grpc", or
    the path of a page that answers once the program can be called. ``replicas``: None where the manifest says it.
    """

    name: Located
    command: tuple[str, ...]
    folder: Path
    port: Port
    upstreams: Mapping[str, Located] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = "tcp"
    replicas: int | None = None
    startup_seconds: float = _STARTUP_SECONDS


@dataclass(frozen=True)
class TrialCall:
    """A call that `run` makes once all is up: ``get`` of the HTTP server that is the program of ``service``.

    Where ``method`` says which RPC comes of it, with the fields that it ``sends`` and that the server ``answers``, the
    interpreter tells what to expect: the answer's field ``prints``, or ``failed`` where an element refuses. In
    ``answers``, `$NAME` stands for the name of the server's instance.
    """

    get: str
    service: Located
    method: Located | None = None
    sends: Written = field(default_factory=dict)
    answers: Written = field(default_factory=dict)
    prints: Located | None = None
    failed: str = ""


@dataclass(frozen=True)
class LocalApplication:
    """``services`` by name. ``calls``: in their order."""

    source: Source
    services: Mapping[str, LocalService]
    calls: tuple[TrialCall, ...] = ()


def read_local_application(source: Source, known: Mapping[str, object] | None = None) -> LocalApplication:
    """Reads the file. ``known``: the services that the manifest has, by name; None where that is not known.

    Raises `DiagnosticError` with everything that is wrong with it.
    """
    problems = Problems(source)
    documents = read_documents(source)
    root = documents[0] if len(documents) == 1 else None
    if not isinstance(root, yaml.MappingNode):
        problems.add("C012", "not an application file", Span.whole(source), "", "write one mapping: `services:` …")
        raise DiagnosticError(problems.found)
    section = Section(root, problems)
    section.only(("services", "calls"))
    services = _services(section, known)
    calls = _calls(section, services)
    _check_ports(services, problems)
    problems.raise_any()
    return LocalApplication(source, services, calls)


def _services(section: Section, known: Mapping[str, object] | None) -> dict[str, LocalService]:
    listed = section.section("services", needed="the program of each service")
    if listed is None:
        return {}
    found: dict[str, LocalService] = {}
    for name, _ in listed.values():
        place = Located(name, listed.key_span(name))
        _check_known(place, known, "services of the manifest", section.problems)
        entry = listed.section(name)
        if entry is not None:
            found[name] = _service(place, entry, known)
    return found


def _check_known(name: Located, known: Mapping[str, object] | None, what: str, problems: Problems) -> None:
    if known is not None and name.value not in known:
        help_, remedies = suggestion(name.value, known, what=what), near(name.span, name.value, known)
        problems.add("C040", f"no service `{name}`", name.span, "not found", help_, remedies=remedies)


def address_variable(service: str) -> str:
    """What a variable may be called that holds where a service is."""
    return f"{service.upper().replace('-', '_')}_ADDRESS"


def _service(name: Located, section: Section, known: Mapping[str, object] | None) -> LocalService:
    section.only(_SERVICE_KEYS)
    upstreams = {}
    for service, (value, span) in section.scalars("upstreams").items():
        _check_known(Located(service, span), known, "services of the manifest", section.problems)
        if isinstance(value, str) and _VARIABLE.fullmatch(value):
            upstreams[service] = Located(value, span)
        else:
            help_ = f"write the name of a variable: `{service}: {address_variable(service)}`"
            section.problems.add("C012", "not a variable name", span, "letters, digits and `_`", help_)
    startup = _number(section, "startupSeconds", _MAX_STARTUP_SECONDS)
    environment, port = _texts(section, "environment"), _port(section)
    taken = [*upstreams.values(), *(Located(key, it.span) for key, it in environment.items())]
    taken += [Located(port.variable, section.key_span("port"))] if port.variable else []
    _check_variables(taken, section.problems)
    return LocalService(
        name,
        _command(section),
        _folder(section),
        port,
        upstreams,
        {key: it.value for key, it in environment.items()},
        _health(section),
        _number(section, "replicas", _MAX_REPLICAS),
        _STARTUP_SECONDS if startup is None else float(startup),
    )


def _check_ports(services: Mapping[str, LocalService], problems: Problems) -> None:
    seen: dict[int, str] = {}
    for name, it in services.items():
        port = it.port.number
        if port is not None and seen.setdefault(port, name) != name:
            help_ = "give each its own port, or let it take its port from a variable: `port: PORT`"
            problems.add(
                "C012", f"two services have port {port}", it.name.span, f"`{seen[port]}` has the same port", help_
            )


def _check_variables(variables: Sequence[Located], problems: Problems) -> None:
    """Each is one, and means one thing: or else calls might go past the elements."""
    seen = {INSTANCE: Span.whole(problems.source)}
    for it in variables:
        if not _VARIABLE.fullmatch(it.value):
            problems.add("C012", f"`{it}` is not a variable name", it.span, "letters, digits and `_`", "rename it")
        elif it.value in seen:
            what = "AppNet sets it" if it.value == INSTANCE else "the second"
            problems.add("C013", f"`{it}` is set twice", it.span, what, "use a separate variable for each purpose")
        seen.setdefault(it.value, it.span)


def _folder(section: Section) -> Path:
    """Where the program runs; a path begins at the file's folder."""
    source, text = section.problems.source, section.text("folder")
    assert source.path is not None, "programs run from files"
    folder = source.path.parent / (text.value if text is not None else ".")
    if text is not None and not folder.is_dir():
        help_ = "write the path of a folder, relative to this file"
        section.problems.add("C033", "`folder` is not a folder", text.span, f"no folder: {folder}", help_)
    return folder


def _texts(section: Section, key: str) -> dict[str, Located]:
    """The mapping at ``key``, each of its values as it is written."""
    inner = section.section(key) if key in section else None
    found: dict[str, Located] = {}
    for name, node in inner.values() if inner is not None else ():
        span = node_span(section.problems.source, node)
        if not isinstance(node, yaml.ScalarNode) or "\0" in node.value:
            section.problems.add(
                "C012", f"`{name}` must be a string", span, "invalid value", "write one value, without NUL"
            )
        else:
            found[name] = Located(node.value, span)
    return found


def _command(section: Section) -> tuple[str, ...]:
    """The words of the command, given as one text or as a list."""
    node = section.get("command")
    if isinstance(node, yaml.SequenceNode):
        nodes = section.items("command", "write the program and its arguments") or ()
        words = [it.value for it in nodes if isinstance(it, yaml.ScalarNode) and "\0" not in it.value]
        if len(words) < len(node.value):
            span = node_span(section.problems.source, node)
            help_ = "write each word as a string: `[python, server.py]`"
            section.problems.add("C012", "a word of the command is not a string", span, "", help_)
        return tuple(words)
    text = section.text("command", needed="the program and its arguments: `command: python server.py`")
    if text is None:
        return ()
    try:
        return tuple(shlex.split(text.value))
    except ValueError as error:
        section.problems.add("C012", "the command cannot be read", text.span, str(error).lower(), "close the quote")
        return ()


def _port(section: Section) -> Port:
    if isinstance(section.get("port"), yaml.MappingNode):
        return Port(printed=_pattern(section.section("port")))
    found = section.scalar("port")
    if found is None:
        if "port" not in section:
            section.problems.add("C011", "`port` is missing", section.span, "no `port` here", _PORT_HELP)
        return Port()
    value, span = found
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_PORT:
        return Port(number=value)
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return Port(variable=value)
    section.problems.add("C012", "`port` must be a variable or a number", span, "neither of them", _PORT_HELP)
    return Port()


def _pattern(section: Section | None) -> Any:
    if section is None:
        return None
    section.only(("printed",))
    text = section.text("printed", needed="a pattern that matches the port in the program's output")
    if text is None:
        return None
    help_ = "put only the port in parentheses: `printed: 'listening on .*:([0-9]+)'`"
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(text.value, options)
    except re2.error as error:
        section.problems.add("C012", "`printed` is not a valid pattern", text.span, str(error), help_)
        return None
    if pattern.groups != 1:
        section.problems.add("C012", "`printed` must have one group", text.span, f"{pattern.groups} groups", help_)
    return pattern


def _health(section: Section) -> str:
    text = section.text("health")
    if text is None:
        return "tcp"
    if text.value not in {"tcp", "grpc"} and not text.value.startswith("/"):
        section.problems.add("C012", "unknown health check", text.span, "unknown", _HEALTH_HELP)
    return text.value


def _number(section: Section, key: str, most: int) -> int | None:
    found = section.scalar(key)
    if found is None:
        return None
    value, span = found
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        section.problems.add(
            "C012", f"`{key}` must be a number", span, "out of range", f"write a number from 1 to {most}"
        )
        return None
    return value


def _calls(section: Section, services: Mapping[str, LocalService]) -> tuple[TrialCall, ...]:
    if "calls" not in section:
        return ()
    nodes = section.items("calls", "list calls: `- get: /`") or []
    found = []
    for node in nodes:
        if not isinstance(node, yaml.MappingNode):
            span = node_span(section.problems.source, node)
            section.problems.add("C012", "a call must be a mapping", span, "invalid value", "write `- get: /path`")
            continue
        call = _call(Section(node, section.problems), services)
        found += [call] if call is not None else []
    return tuple(found)


def _call(section: Section, services: Mapping[str, LocalService]) -> TrialCall | None:
    section.only(_CALL_KEYS)
    path = section.text("get", needed="the path to request: `get: /`")
    service = section.text("service", needed="the service to call")
    if path is not None and not path.value.startswith("/"):
        section.problems.add("C012", "`get` must be a path", path.span, "invalid value", "begin it with `/`")
    if service is not None:
        _check_known(service, services, "services here", section.problems)
    method, prints, failed = (section.text(it) for it in ("method", "prints", "failed"))
    lost = next((it for it in ("sends", "answers", "prints", "failed") if it in section), None)
    if method is None and lost is not None:
        help_ = "name the RPC that the call makes: `method: echo`"
        section.problems.add("C011", "`method` is missing", section.key_span(lost), "which RPC?", help_)
    if path is None or service is None:
        return None
    return TrialCall(
        path.value,
        service,
        method,
        _texts(section, "sends"),
        _texts(section, "answers"),
        prints,
        failed.value if failed else "",
    )


def local_file(manifest: Source) -> Source | None:
    """The application file beside the manifest, if there is one."""
    source = manifest.beside(LOCAL)
    return source if source.path is not None and source.path.is_file() else None
