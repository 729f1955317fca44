"""Where what users write comes from: a file, a text in place of a file, or one of several texts held in memory."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from appnet.diagnostics.diagnostic import Diagnostic, Severity, UnreadableError
from appnet.diagnostics.near import did_you_mean, near_paths
from appnet.diagnostics.place import Source, Span

NOT_TEXT = "not UTF-8 text"
"""The reason for which bytes cannot be read."""

MOST_BYTES = 64 << 20
"""Of a file or a text that people wrote."""


class _Placed:
    """Equality by place."""

    _place: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return self._place == other._place if isinstance(other, _Placed) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._place)


class FileSource(_Placed):
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = ("file", os.path.realpath(path))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r})"

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self._path)

    @property
    def path(self) -> Path:
        """The path as it was given."""
        return self._path

    def text(self) -> str:
        """What the file holds, which has to be UTF-8. Raises `UnreadableError`."""
        content = bytes_of(self)
        try:
            return _universal_line_ends(content.decode())
        except UnicodeDecodeError as error:
            shown = _universal_line_ends(content.decode(errors="replace"))
            raise _unreadable(self, f"{base_name(self)} is {NOT_TEXT}", "save it as UTF-8", NOT_TEXT, shown) from error

    def beside(self, name: str) -> FileSource:
        """The file at ``name``, from the folder of this one."""
        return FileSource(self._path.parent / name)


def bytes_of(source: Source) -> bytes:
    """What a file holds. Raises `UnreadableError`, also for what is no file."""
    path = source.path
    if path is None:
        raise _unreadable(source, f"{source.name} is not a file", "pass the path of a file", "no file")
    try:
        with open(path, "rb", opener=_at_once) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read(MOST_BYTES + 1) if regular else b""
    except OSError as error:
        raise not_readable(path, error) from error
    if not regular:
        help_ = "save its output to a file, and pass the path of that"
        raise _unreadable(source, f"{source.name} is not a regular file", help_, "a device or a pipe")
    if len(content) > MOST_BYTES:
        title = f"{source.name} is larger than {MOST_BYTES >> 20} MiB"
        raise _unreadable(source, title, "pass the path of a file written by hand", "too large")
    return content


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for whoever writes to a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class TextSource(FileSource):
    """A text in place of what the file holds, such as an editor's; the file need not be there."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(path)
        self._text = text

    def text(self) -> str:
        """The text that was given."""
        return self._text


class MemorySource(_Placed):
    """One of the ``texts`` by name, such as those of a ConfigMap; names may be paths. ``origin`` is where they are."""

    def __init__(self, entry: str, texts: Mapping[str, str], origin: str = "") -> None:
        self._entry = posixpath.normpath(entry).lstrip("/")
        self._texts = texts
        self._origin = origin
        self._place = ("memory", origin, self._entry)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def name(self) -> str:
        """The entry, behind the origin."""
        return posixpath.join(self._origin, self._entry)

    @property
    def path(self) -> None:
        """It is no file."""
        return

    def text(self) -> str:
        """The text of this name. Raises `UnreadableError` where there is none."""
        found = self._texts.get(self._entry)
        if found is None:
            raise _unreadable(self, f"no text {self.name}", "give its text, too", "no such text")
        return found

    def beside(self, name: str) -> Source:
        """The text at ``name``, from the folder in this one's name."""
        return MemorySource(posixpath.join(posixpath.dirname(self._entry), name), self._texts, self._origin)


class InlineSource(MemorySource):
    """A text that stands at a line inside another source, called ``name``; what it names lies beside that source."""

    def __init__(self, name: str, text: str, around: Source, line: int) -> None:
        super().__init__(name, {name: text}, f"{around.name}:{line}")
        self._around = around

    def beside(self, name: str) -> Source:
        """The source at ``name``, from the folder of the one that this stands in."""
        return self._around.beside(name)


def not_readable(path: Path, error: OSError) -> UnreadableError:
    """That the system cannot read the path; of one that is not there, with those near it."""
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        title = f"no {'file' if path.suffix else 'file or folder'} {path}"
        help_ = did_you_mean(near_paths(path)) or "pass an existing path"
    else:
        title = f"{path} cannot be read: {reason}"
        help_ = "pass the files in it" if path.is_dir() else "pass the path of a readable file"
    return _unreadable(FileSource(path), title, help_, reason)


def check_there(path: Path) -> None:
    """Raises `UnreadableError` where there is no such file or folder."""
    try:
        path.stat()
    except OSError as error:
        raise not_readable(path, error) from error


def base_name(source: Source) -> str:
    """The last part of its name: ``echo.yaml``."""
    return PurePosixPath(source.name).name


def stem(source: Source) -> str:
    """The last part of its name, without what follows the last dot: ``echo``."""
    return PurePosixPath(source.name).stem


def _unreadable(source: Source, title: str, help_: str, reason: str, shown: str = "") -> UnreadableError:
    return UnreadableError(Diagnostic("C001", Severity.ERROR, title, Span.whole(source), "", help_), reason, shown)


def _universal_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
