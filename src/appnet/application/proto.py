"""A user's .proto: its methods as the checker wants them, and its messages for dynamic use."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, OneofDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.text_encoding import CEscape

from appnet.application.proto_files import ProtoFiles, ProtoRoot, content, files_of
from appnet.diagnostics.diagnostic import (
    Diagnostic,
    DiagnosticError,
    Severity,
    UnreadableError,
    shown_text,
)
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.remedy import Remedy, instead, near
from appnet.diagnostics.source import NOT_TEXT, base_name, bytes_of
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, MapType, Type, VecType

_MAX_DEPTH = 8
_MAX_PATHS = 10_000
_PROTOC_TAB = 8
_VALUE = 2  # the number of the value in an entry of a map
_MESSAGES, _SERVICES, _NESTED, _FIELDS, _NAME = (
    4,
    6,
    3,
    2,
    1,
)  # field numbers in paths of source_code_info
_ERROR_LINE = re.compile(r"^(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?!warning:)(?P<text>.*)$")

_KINDS: dict[int, tuple[str, Type]] = {
    FieldDescriptor.TYPE_DOUBLE: ("double", FLOAT),
    FieldDescriptor.TYPE_FLOAT: ("float", FLOAT),
    FieldDescriptor.TYPE_INT64: ("int64", INT),
    FieldDescriptor.TYPE_UINT64: ("uint64", UINT),
    FieldDescriptor.TYPE_INT32: ("int32", INT),
    FieldDescriptor.TYPE_FIXED64: ("fixed64", UINT),
    FieldDescriptor.TYPE_FIXED32: ("fixed32", UINT),
    FieldDescriptor.TYPE_BOOL: ("bool", BOOL),
    FieldDescriptor.TYPE_STRING: ("string", STRING),
    FieldDescriptor.TYPE_BYTES: ("bytes", BYTES),
    FieldDescriptor.TYPE_UINT32: ("uint32", UINT),
    FieldDescriptor.TYPE_ENUM: ("enum", INT),
    FieldDescriptor.TYPE_SFIXED32: ("sfixed32", INT),
    FieldDescriptor.TYPE_SFIXED64: ("sfixed64", INT),
    FieldDescriptor.TYPE_SINT32: ("sint32", INT),
    FieldDescriptor.TYPE_SINT64: ("sint64", INT),
}


@dataclass(frozen=True)
class ProtoFile:
    """A compiled .proto. ``files``: what it was compiled from, by their names in import statements, itself first;
    ``order``: the names of all files, also of those that come along, each behind what it imports."""

    source: Source
    files: Mapping[str, Source]
    order: tuple[str, ...]
    _pool: DescriptorPool = field(repr=False)
    _services: tuple[str, ...]
    _places: Mapping[str, tuple[Source, int, int]] = field(repr=False)
    _secret: frozenset[str] = frozenset()

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it was compiled from, itself first; what comes along is left out."""
        return tuple(self.files.values())

    def methods(self) -> list[str]:
        """The full name, ``/package.Service/Method``, of every method that the file itself declares."""
        return [_full_name(it) for it in self._methods()]

    def method(self, name: str, span: Span | None = None) -> MethodSignature:
        """The method called ``name``: ``echo``, ``EchoService.echo``, ``echo.EchoService/echo`` or its full path.

        Raises ``DiagnosticError`` where the file has no such method or more than one; it points at ``span``, where
        the name was written, or else at the first service.
        """
        wanted = name.strip().removeprefix("/").replace("/", ".")
        found = [it for it in self._methods() if f".{it.full_name}".endswith(f".{wanted}")]
        exact = [it for it in found if it.full_name == wanted]
        if len(found) == 1 or exact:
            return self._signature((exact or found)[0])
        place = span or self._service_place()
        if found:
            full = [_full_name(it) for it in found]
            title, help_ = f"method `{name}` is ambiguous", f"write {' or '.join(f'`{it}`' for it in full)}"
            remedies = instead(span, *full) if span else ()
            raise _error("C052", title, place, "several services have it", help_, remedies)
        short = dict.fromkeys(it.name if "." not in wanted else _full_name(it)[1:] for it in self._methods())
        if short:
            advice = suggestion(name, short, what=f"methods of {base_name(self.source)}")
        else:
            advice = f"declare a `service` with it in {base_name(self.source)}"
        remedies = near(span, name, short) if span else ()
        raise _error("C051", f"no method `{name}`", place, f"not in {base_name(self.source)}", advice, remedies)

    def _signature(self, method: MethodDescriptor) -> MethodSignature:
        return MethodSignature(
            full_name=_full_name(method),
            request=_schema(method.input_type, self._secret),
            response=_schema(method.output_type, self._secret),
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
        )

    def hiding(self, fields: Iterable[str]) -> ProtoFile:
        """The same with these fields (``package.Message.field``) secret, as if each had the option ``debug_redact``."""
        return replace(self, _secret=frozenset(fields))

    def fields_in(self, messages: Iterable[str]) -> frozenset[str]:
        """The full names, ``package.Message.field``, of the fields of these messages and of all messages in them."""
        waiting = [self._pool.FindMessageTypeByName(it) for it in messages]
        found: dict[str, Descriptor] = {}
        while waiting:
            message = waiting.pop()
            if message.full_name not in found:
                found[message.full_name] = message
                waiting += [_message_of(it) for it in message.fields if _holds_messages(it)]
        return frozenset(it.full_name for message in found.values() for it in message.fields)

    def message_class(self, full_name: str) -> type[Message]:
        """The class of the message ``full_name`` (``package.Message``); raises ``KeyError`` for an unknown one."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(full_name))

    def bytes_class(self, full_name: str) -> type[Message]:
        """As `message_class`, with bytes for strings: programs may cut a text inside a character. Maps of messages are
        the entries that they are on the wire, in their order.
        """
        return message_factory.GetMessageClass(self._bytes_pool.FindMessageTypeByName(full_name))

    @cached_property
    def _bytes_pool(self) -> DescriptorPool:
        pool = DescriptorPool()
        for name in self.order:
            file = descriptor_pb2.FileDescriptorProto()
            self._pool.FindFileByName(name).CopyToProto(file)
            for message in file.message_type:
                _strings_to_bytes(message)
            pool.Add(file)
        return pool

    def place(self, message: str, path: str) -> Span | None:
        """Where the field at the dotted ``path`` in ``message`` (``package.Message``) is declared."""
        inner: Descriptor | None = self._pool.FindMessageTypeByName(message)
        found: FieldDescriptor | None = None
        for name in path.split("."):
            in_map = inner is not None and inner.GetOptions().map_entry and name == "values"
            found = inner.fields_by_name.get("value" if in_map else name) if inner is not None else None
            inner = found.message_type if found is not None else None
        place = self._places.get(found.full_name) if found is not None else None
        return _span(*place) if place is not None and content(place[0]) is not None else None

    def _service_place(self) -> Span:
        place = self._places.get(self._services[0]) if self._services else None
        return _span(*place) if place is not None else Span.whole(self.source)

    def _methods(self) -> Iterator[MethodDescriptor]:
        for service in self._services:
            yield from self._pool.FindServiceByName(service).methods


def load_proto(source: Source, roots: Iterable[ProtoRoot] = ()) -> ProtoFile:
    """Compiles the .proto; its imports are looked for where `files_of` does, ``roots`` first, and among those that come
    along.

    One that was compiled before and has not changed, nor anything it imports, is not compiled again. A file whose name
    ends as in `DESCRIPTOR_SETS` is one that a compiler wrote.
    Raises ``DiagnosticError`` with one diagnostic for each message of the compiler.
    """
    if PurePosixPath(source.name).suffix in DESCRIPTOR_SETS:
        return _of_set(source)
    try:
        files = files_of(source, roots)
    except UnreadableError as error:
        if error.reason != NOT_TEXT:
            raise
        title = f"{base_name(source)} does not compile"
        raise _error("C050", title, Span.whole(source), NOT_TEXT, "save it as UTF-8") from error
    key = (source.name, source)
    texts, known = _COMPILED.get(key, ({}, None))
    if known is None or texts != files.texts:
        known = _compile(source, files)
        _COMPILED[key] = (files.texts, known)
    return known


_COMPILED: dict[tuple[str, Source], tuple[Mapping[str, str], ProtoFile]] = {}
"""What was compiled, by source and what it is called, with the texts that it was made of, by name."""


DESCRIPTOR_SETS = (".binpb", ".protoset", ".desc", ".pb")
"""How names of files end that `buf build` or `protoc --descriptor_set_out` wrote."""


def _of_set(source: Source) -> ProtoFile:
    help_ = "generate it with all imports: `buf build -o FILE`, or `protoc --include_imports --descriptor_set_out=FILE`"
    title = f"{base_name(source)} is not a descriptor set"
    try:
        compiled = descriptor_pb2.FileDescriptorSet.FromString(bytes_of(source))
        pool = DescriptorPool()
        for file in compiled.file:
            pool.Add(file)
            pool.FindFileByName(file.name)
    except DecodeError:
        raise _error("C050", title, Span.whole(source), "", help_) from None
    except (TypeError, KeyError) as error:
        told = " ".join(str(error).split())
        raise _error("C050", f"{base_name(source)} cannot be used: {told}", Span.whole(source), "", help_) from error
    if not compiled.file:
        raise _error("C050", title, Span.whole(source), "", help_)
    own = (it for it in compiled.file if not it.name.startswith("google/"))
    services = [f"{file.package}.{it.name}".removeprefix(".") for file in own for it in file.service]
    files = {base_name(source): source}
    return ProtoFile(source, files, tuple(it.name for it in compiled.file), pool, tuple(services), {})


def _compile(source: Source, files: ProtoFiles) -> ProtoFile:
    with tempfile.TemporaryDirectory() as folder:
        output, known, texts = (Path(folder, it) for it in ("set", "known", "texts"))
        files.write(texts)
        known.write_bytes(files.known().SerializeToString())
        arguments = [
            "-I.",
            *([f"--descriptor_set_in={known}"] if files.along else []),
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={output}",
            f"./{files.own}",
        ]
        # Another process, because protoc writes its messages to file descriptor 2 whatever Python thinks of it.
        run = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *arguments],
            cwd=texts,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if run.returncode != 0:
            raise DiagnosticError(_diagnostics(source, files.found, run.stderr))
        compiled = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
    pool = DescriptorPool()
    for file in compiled.file:
        try:
            pool.Add(file)
        except TypeError as error:  # some limits are the library's, not protoc's
            title, help_ = f"{file.name} cannot be used: {error}", "make its messages smaller"
            place = Span.whole(files.found.get(file.name) or source)
            raise DiagnosticError([Diagnostic("C050", Severity.ERROR, title, place, "", help_)]) from error
    own = compiled.file[-1]  # protoc puts each file after those it imports
    services = [f"{own.package}.{it.name}".removeprefix(".") for it in own.service]
    places = {
        name: place
        for it in compiled.file
        for name, place in _places(files.found.get(it.name) or source.beside(it.name), it)
    }
    return ProtoFile(source, files.found, tuple(it.name for it in compiled.file), pool, tuple(services), places)


def _strings_to_bytes(message: descriptor_pb2.DescriptorProto) -> None:
    for nested in message.nested_type:
        if nested.options.map_entry and nested.field[1].type == nested.field[1].TYPE_MESSAGE:
            nested.options.ClearField("map_entry")
    for it in message.field:
        key = message.options.map_entry and it.number == 1  # which cannot be bytes
        if it.type == it.TYPE_STRING and not key:
            it.type = it.TYPE_BYTES
            if it.HasField("default_value"):
                it.default_value = CEscape(it.default_value.encode(), as_utf8=True)
    for nested in message.nested_type:
        _strings_to_bytes(nested)


def _places(source: Source, file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, tuple[Source, int, int]]]:
    """The full name of each field and service, with line and column of its name as protoc counts them, from 1."""
    for location in file.source_code_info.location:
        at = list(location.path)
        if len(at) == 3 and at[0] == _SERVICES and at[2] == _NAME:
            full_name = ".".join(filter(None, (file.package, file.service[at[1]].name)))
            yield full_name, (source, location.span[0] + 1, location.span[1] + 1)
        if len(at) < 5 or len(at) % 2 == 0 or at[0] != _MESSAGES or at[-3] != _FIELDS or at[-1] != _NAME:
            continue
        message, names = file.message_type[at[1]], [file.message_type[at[1]].name]
        for kind, index in zip(at[2:-3:2], at[3:-3:2], strict=True):
            if kind != _NESTED:
                break
            message = message.nested_type[index]
            names.append(message.name)
        else:
            full_name = ".".join(filter(None, (file.package, *names, message.field[at[-2]].name)))
            yield full_name, (source, location.span[0] + 1, location.span[1] + 1)


def _full_name(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@dataclass(frozen=True)
class _Place:
    """A message somewhere in another.

    ``prefix``, ``numbers``, ``oneofs``, ``groups``: of what leads to it, as `Field` has them. ``above``: the types that
    lie around it. ``within``: the path of the many messages that it is, or is inside of. ``secret``: no log may
    show it. ``hidden``: the full names of fields that are secret wherever they are.
    """

    message: Descriptor
    above: frozenset[str]
    hidden: frozenset[str]
    prefix: str = ""
    numbers: tuple[int, ...] = ()
    oneofs: tuple[str, ...] = ()
    groups: tuple[bool, ...] = ()
    within: str = ""
    secret: bool = False

    def field(self, it: FieldDescriptor) -> Field:
        """The message's field, as the outermost message has it."""
        oneof = _oneof(it)
        oneofs = (*self.oneofs, f"{self.prefix}{oneof.name}" if oneof is not None else "")
        groups = (*self.groups, it.type == FieldDescriptor.TYPE_GROUP)
        around = Field(
            self.prefix + it.name, BOOL, (*self.numbers, it.number), "message",
            oneofs=oneofs if any(oneofs) else (), groups=groups if any(groups) else (), within=self.within,
            secret=self.secret or it.GetOptions().debug_redact or it.full_name in self.hidden,
        )  # fmt: skip
        return _of_message(it, around) if _holds_messages(it) else _of_scalars(it, around)

    def inner(self, it: FieldDescriptor, field: Field) -> _Place:
        """The place of a message of the field; of a map's, that of its values."""
        step = 1 if field.key_kind else 0
        message = _message_of(it)
        filled = len(field.numbers) + step
        return _Place(
            message,
            self.above | {message.full_name},
            self.hidden,
            f"{field.path}.values." if step else f"{field.path}.",
            (*field.numbers, *[_VALUE] * step),
            (*field.oneofs, *[""] * (filled - len(field.oneofs))),
            (*field.groups, *[False] * (filled - len(field.groups))),
            self.within if field.type == BOOL else field.path,
            field.secret,
        )


def _schema(message: Descriptor, hidden: frozenset[str]) -> MessageSchema:
    fields: dict[str, Field] = {}
    messages: dict[str, Field] = {}
    unsupported: dict[str, str] = {}
    members: dict[str, list[Field]] = {}
    # Breadth first, so that the fields nearest to the message come first in every list of names.
    level = [_Place(message, frozenset({message.full_name}), hidden)]
    for depth in range(1, _MAX_DEPTH + 1):
        inner = []
        for place in level:
            for it in place.message.fields:
                field_ = place.field(it)
                path = field_.path
                if field_.oneofs and field_.oneofs[-1]:
                    members.setdefault(field_.oneofs[-1], []).append(field_)
                reason = _unsupported(it, place, depth)
                if field_.is_message:
                    messages[path] = field_
                    if not reason and len(fields) + len(unsupported) > _MAX_PATHS:
                        # Messages that hold many messages each have millions of paths within a few levels.
                        reason = f"it is not among the first {_MAX_PATHS} fields of a very large message"
                    if not reason:
                        inner.append(place.inner(it, field_))
                    unsupported[path] = reason or _SHAPES[field_.type == BOOL, bool(field_.key_kind)]
                elif reason:
                    unsupported[path] = reason
                else:
                    fields[path] = field_
        level = inner
    return MessageSchema(
        message.full_name,
        fields,
        unsupported,
        oneofs={name: tuple(them) for name, them in members.items()},
        messages=messages,
    )


_SHAPES = {
    (True, False): "it is a message: name a field in it",
    (False, False): "it is repeated, and a message: name a field in it, and `get` returns a Vec of the values in each",
    (False, True): "it is a map of messages: name a field in its `values`, and `get` returns a Vec of those in each",
}
"""Why a field of messages is not a value: by whether it is one, and whether it is a map."""


def _holds_messages(it: FieldDescriptor) -> bool:
    """Whether it is a message, many, or a map of them."""
    nested = it.message_type
    if nested is None or not nested.GetOptions().map_entry:
        return nested is not None
    return nested.fields_by_name["value"].message_type is not None


def _message_of(it: FieldDescriptor) -> Descriptor:
    """The type of the messages that it holds."""
    message = it.message_type
    if message is not None and message.GetOptions().map_entry:
        message = message.fields_by_name["value"].message_type
    assert message is not None, "it contains messages"
    return message


def _key_of(it: FieldDescriptor) -> FieldDescriptor | None:
    """The key of its entries, where it is a map."""
    entry = it.message_type
    return entry.fields_by_name["key"] if entry is not None and entry.GetOptions().map_entry else None


def _of_message(it: FieldDescriptor, around: Field) -> Field:
    if field_key := _key_of(it):
        kind, _ = _KINDS[field_key.type]
        return replace(around, type=UINT, key_kind=kind, many=True)
    return replace(around, type=UINT, many=True) if it.is_repeated else replace(around, presence=True)


def _of_scalars(it: FieldDescriptor, around: Field) -> Field:
    entry = it.message_type
    if entry is not None:
        (key_kind, key), (kind, value) = (_KINDS[entry.fields_by_name[name].type] for name in ("key", "value"))
        names = _names(entry.fields_by_name["value"])
        return replace(around, type=MapType(key, value), kind=kind, key_kind=key_kind, names=names, many=True)
    kind, type_ = _KINDS[it.type]
    field_ = replace(around, type=type_, kind=kind, names=_names(it))
    if it.is_repeated:
        return replace(field_, type=VecType(type_), packed=it.is_packed, many=True)
    if around.within:
        return replace(field_, type=VecType(type_), default=_default(it))
    return replace(field_, default=_default(it), presence=it.has_presence)


def _names(it: FieldDescriptor) -> tuple[int, ...]:
    """The numbers that its enum has names for, where that is closed."""
    enum = it.enum_type
    return tuple(sorted({value.number for value in enum.values})) if enum is not None and enum.is_closed else ()


def _oneof(it: FieldDescriptor) -> OneofDescriptor | None:
    """The oneof that it is a member of; the one that stands for ``optional`` is none."""
    oneof = it.containing_oneof
    return None if oneof is None or (len(oneof.fields) == 1 and oneof.name == f"_{it.name}") else oneof


def _unsupported(it: FieldDescriptor, place: _Place, depth: int) -> str:
    """Why programs cannot use ``it``, nor anything in it; empty if they can."""
    nested = it.message_type
    if nested is None:
        return ""
    if nested.GetOptions().map_entry:
        nested = nested.fields_by_name["value"].message_type
        if nested is None:
            return f"it is a map, and each of `{place.within}` has its own" if place.within else ""
    if nested.full_name in place.above:
        return f"`{nested.full_name}` contains itself"
    return f"it is nested deeper than {_MAX_DEPTH} messages" if depth == _MAX_DEPTH else ""


def _default(it: FieldDescriptor) -> bool | int | float | bytes | None:
    """What the field reads as where it is absent, if that is not zero or empty."""
    value = it.default_value.encode() if isinstance(it.default_value, str) else it.default_value
    zero = not value and str(value) != "-0.0"
    return None if zero else value


def _diagnostics(source: Source, written: Mapping[str, Source], messages: str) -> list[Diagnostic]:
    """One diagnostic for each of protoc's messages that has a place; of all text together if none has."""
    found: list[Diagnostic] = []
    title = f"{base_name(source)} does not compile"
    matches = list(filter(None, map(_ERROR_LINE.match, messages.splitlines())))
    told = {it["file"] for it in matches}
    lacking = {it["file"] for it in matches if _BROKEN_IMPORT.match(it["text"])}
    for match in matches:
        text = match["text"].rstrip(".")
        imported = _BROKEN_IMPORT.match(text)
        follows = match["file"] in lacking and _LACKS_NAME.search(text)
        if follows or (imported and imported["name"] in told):
            continue  # what is wrong there says it
        file = PurePosixPath(match["file"]).as_posix()
        span = _span(written.get(file) or source.beside(file), int(match["line"]), int(match["column"]))
        found.append(Diagnostic("C050", Severity.ERROR, title, span, text, _help(text)))
    if found:
        return found
    text = " ".join(messages.split())
    return [Diagnostic("C050", Severity.ERROR, f"{title}: {text}", Span.whole(source))]


_LOOKED_FOR = (
    "pass the folder where the name begins by `-I` or `protoRoots`; imports are also searched next to the .proto, "
    "above its package's path, in the roots of buf.yaml, and in googleapis"
)

_ADVICE = (
    (
        "Import ",
        _LOOKED_FOR,
    ),
    ("top-level statement", 'a .proto begins with `syntax = "proto3";` and contains messages and services'),
    ('Expected ";"', "end what comes before it with `;`"),
    ("recursively imports", "remove one of the imports"),
    ("already been used", "give each field of a message its own number"),
    ("is not defined", "declare it, import the file that does, or correct its name"),
)


_BROKEN_IMPORT = re.compile(r'Import "(?P<name>[^"]*)" was not found or had errors')
_LACKS_NAME = re.compile(r"is not defined|seems to be defined")


def _help(text: str) -> str:
    return next((advice for words, advice in _ADVICE if words in text), "fix it there; the message comes from `protoc`")


def _span(file: Source, line: int, column: int) -> Span:
    """The word at a place given by protoc, which counts bytes and takes tabs to stop at every eighth column."""
    lines = shown_text(file).splitlines()
    text = lines[line - 1] if line <= len(lines) else ""
    start, at = 0, 1
    while at < column and start < len(text):
        width = _PROTOC_TAB - (at - 1) % _PROTOC_TAB if text[start] == "\t" else len(text[start].encode())
        start, at = start + 1, at + width
    word = re.compile(r'import\s.*?"[^"]*"|"[^"]*"|\w+').match(text, start)
    end = word.end() if word else min(start + 1, max(len(text), start + 1))
    return Span(file, line, start + 1, line, end + 1)


def _error(
    code: str, title: str, span: Span, label: str, help_: str, remedies: tuple[Remedy, ...] = ()
) -> DiagnosticError:
    return DiagnosticError([Diagnostic(code, Severity.ERROR, title, span, label, help_, remedies=remedies)])
