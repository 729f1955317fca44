"""Names that a YAML file gives: of elements, and of other sources, with the folder that a placeholder stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from appnet.application.proto_files import ProtoRoot
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, UnreadableError
from appnet.diagnostics.near import did_you_mean, near_paths
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Remedy, instead
from appnet.diagnostics.source import FileSource, InlineSource
from appnet.diagnostics.yaml_reader import Located, Problems, Section, node_span

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_ROOT = "<APPNET_DIR_PATH>"
_ROOT_MARK = Path("config", "samples")


def check_element_name(name: Located, problems: Problems) -> None:
    """Adds an error where ``name`` cannot be an element's."""
    if not _NAME.fullmatch(name.value):
        help_ = "use at most 63 letters, digits, `_` and `-`, starting with a letter"
        problems.add("C016", f"`{name}` is not a valid element name", name.span, "not a name", help_)


def config_error(
    code: str, title: str, span: Span, label: str, help_: str, remedies: tuple[Remedy, ...] = ()
) -> DiagnosticError:
    """One error as an exception."""
    return DiagnosticError([Diagnostic(code, Severity.ERROR, title, span, label, help_, remedies=remedies)])


@dataclass(frozen=True)
class Ways:
    """The keys under which a text is given: its ``path``, the text itself ``inline``, or where a cluster has it."""

    path: str
    inline: str
    elsewhere: str


def given_source(section: Section, ways: Ways, what: str, name: str) -> Source | None:
    """The source that is given in one of these ways, which has to be; ``name`` is that of a text inside the section's
    own source. None after an error."""
    problems = section.problems
    first, *others = [it for it in (ways.path, ways.inline, ways.elsewhere) if it in section] or [ways.path]
    for it in others:
        title, other = f"`{first}` and `{it}` are the same setting", Label(section.key_span(first), "the other is here")
        problems.add("C015", title, section.key_span(it), "one of them", "keep one of them", other)
    if others:
        return None
    if first == ways.elsewhere:
        title, span = f"`{first}` names a ConfigMap, which only a cluster has", section.key_span(first)
        help_ = f"write `{ways.path}` or `{ways.inline}`, or apply it to a cluster as it is"
        problems.add("C033", title, span, "cannot be read here", help_)
        return None
    if first == ways.inline:
        text = section.text(first, needed=what, lines=True)
        return InlineSource(name, text.value, problems.source, text.span.line) if text is not None else None
    return named_source(section, ways.path, what)


def named_source(section: Section, key: str, what: str) -> Source | None:
    """The source at ``key``, which has to be there; ``what`` says what it is for. None after an error."""
    problems = section.problems
    text = section.text(key, needed=what)
    if text is None:
        return None
    source = _resolve(text, problems)
    reason = _missing(source) if source is not None else ""
    if source is not None and reason:
        advice = "relative paths start at the configuration's folder"
        if Path(text.value).is_absolute():
            advice = f"write the path of an existing file; {advice}"
        there = [it.as_posix() for it in _near(source, problems.source)]
        help_, title = did_you_mean(there) or advice, f"the file in `{key}` does not exist"
        problems.add("C033", title, text.span, reason, help_, remedies=instead(text.span, *there))
        return None
    return source


def named_roots(section: Section, key: str) -> tuple[ProtoRoot, ...] | None:
    """The folders listed at ``key``, none where it is not there. None after an error."""
    before = len(section.problems.found)
    found = tuple(_roots(section, key)) if key in section else ()
    return found if len(section.problems.found) == before else None


def _roots(section: Section, key: str) -> Iterator[ProtoRoot]:
    problems = section.problems
    for node in section.items(key, "list folders: `- protos`, or leave it out") or ():
        span = node_span(problems.source, node)
        text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not text or not text.isprintable():
            problems.add("C012", "a root of .protos is a folder", span, "no path", "write `- protos`")
            continue
        inside = _resolve(Located(f"{text}/_", span), problems)
        if inside is None:
            continue
        root = ProtoRoot(inside)
        reason = _no_folder(root.folder) if root.folder is not None else ""
        if reason:
            folder = FileSource(root.folder) if root.folder is not None else inside
            there = [it.as_posix() for it in _near(folder, problems.source)]
            help_ = did_you_mean(there) or "relative paths start at the folder of the configuration"
            problems.add("C033", f"`{key}` names no folder", span, reason, help_, remedies=instead(span, *there))
        else:
            yield root


def _no_folder(path: Path) -> str:
    """Why it is no folder; empty if it is one."""
    try:
        return "" if path.is_dir() else f"{'a file' if path.exists() else 'no folder'}: {path}"
    except OSError as error:  # such as a name longer than the file system takes
        return (error.strerror or "no folder").lower()


def _resolve(text: Located, problems: Problems) -> Source | None:
    here = problems.source
    if not text.value.startswith(_ROOT):
        return here.beside(text.value)
    root = Path("/") if here.path is None else project_root(here.path)  # of texts in memory all are below one
    if root is None:
        help_ = f"write a relative path, or move the configuration below a folder with {_ROOT_MARK}"
        label = f"no folder above has {_ROOT_MARK}"
        problems.add("C034", f"`{_ROOT}` cannot be resolved here", text.span, label, help_)
        return None
    rest = text.value.removeprefix(_ROOT).lstrip("/")
    found = here.beside(str(root / rest))
    # Some public samples take the placeholder for the folder around the project.
    below = here.beside(str(root / rest.removeprefix("appnet/")))
    return below if _missing(found) and not _missing(below) else found


def _near(source: Source, here: Source) -> list[Path]:
    """What is there near ``source``, from the folder of ``here``."""
    if source.path is None or here.path is None:
        return []
    folder = here.path.parent
    return [Path(os.path.relpath(it, folder)) for it in near_paths(source.path)]


def _missing(source: Source) -> str:
    """Why ``source`` cannot be read; empty if it can."""
    path = source.path
    if path is None:
        try:
            source.text()
        except UnreadableError as error:
            return f"{error.reason}: {source.name}"
        return ""
    try:
        if path.is_file():
            return "" if os.access(path, os.R_OK) else f"not readable: {path}"
        return f"{'a folder' if path.is_dir() else 'no file'}: {path}"
    except OSError as error:  # such as a name longer than the file system takes
        return (error.strerror or "no file").lower()


def project_root(path: Path) -> Path | None:
    """The nearest folder above ``path`` that has ``config/samples``."""
    return next((it for it in Path(os.path.realpath(path)).parents if (it / _ROOT_MARK).is_dir()), None)
