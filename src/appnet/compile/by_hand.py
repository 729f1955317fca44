"""C that someone wrote, in the place of what would be printed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, InternalError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource, check_there
from appnet.processors.artifact import Artifact

_ERROR = re.compile(r"\.c:(\d+):(\d+): (?:fatal )?error: (.*)")


class CodeByHand:
    """The C files in a folder, each by the name that the printed file would have."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def in_place_of(self, printed: Sequence[Artifact]) -> list[Artifact]:
        """The artifacts, with the code of those that have a file.

        Raises `DiagnosticError` where the folder is not there, has none for any of them, or some for none.
        """
        check_there(self._folder)
        taken = [self._taken(it) for it in printed]
        if not any(it.code.by_hand for it in taken):
            raise DiagnosticError([self._no_code(printed)])
        stray = list(self._stray(printed))
        if stray:
            raise DiagnosticError(stray)
        return taken

    def refused(self, artifact: Artifact, error: InternalError) -> DiagnosticError:
        """What the C compiler says of the artifact's code, at its place in the file."""
        return DiagnosticError([_does_not_compile(self._file(artifact), str(error))])

    def _file(self, artifact: Artifact) -> Path:
        return self._folder / f"{artifact.stem}.c"

    def _taken(self, artifact: Artifact) -> Artifact:
        if not self._file(artifact).is_file():
            return artifact
        text = FileSource(self._file(artifact)).text()
        version = hashlib.sha256(f"{artifact.segment.place.target}\n{text}".encode()).hexdigest()[:12]
        return replace(artifact, code=replace(artifact.code, text=text, version=version, by_hand=True))

    def _no_code(self, printed: Sequence[Artifact]) -> Diagnostic:
        title = f"no code for any module in {self._folder}"
        help_ = f"name files like the generated ones: `{printed[0].stem}.c`" if printed else "no modules"
        return Diagnostic("C065", Severity.ERROR, title, Span.whole(FileSource(self._folder)), "", help_)

    def _stray(self, printed: Sequence[Artifact]) -> Iterator[Diagnostic]:
        """An error for each file that belongs to no module: most likely, its name is mistyped."""
        names = [f"{it.stem}.c" for it in printed]
        for path in sorted(self._folder.rglob("*.c")):
            name = path.relative_to(self._folder).as_posix()
            if name not in names:
                title, help_ = f"{name} belongs to no module", suggestion(name, names, what="modules' files")
                yield Diagnostic("C085", Severity.ERROR, title, Span.whole(FileSource(path)), "", help_)


def _does_not_compile(path: Path, text: str) -> Diagnostic:
    found = _ERROR.search(text)
    line, column, label = (int(found[1]), int(found[2]), found[3]) if found else (1, 1, "the compiler rejects it")
    help_ = "start from the file that is generated without --pseudo-impl, and keep its last table, `appnet_program`"
    span = Span(FileSource(path), line, column, line, column + 1)
    return Diagnostic("C067", Severity.ERROR, f"{path.name} does not compile", span, label, help_)
