"""What an editor asks about the text of a YAML file or of a .proto: what is wrong with it, and what can stand there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.source import FileSource, base_name
from appnet.editor.document import Completion
from appnet.editor.named import Surroundings
from appnet.editor.schema import Place, kind_of, place_of
from appnet.editor.yaml_place import YamlPlace, lines_of, place_at


class CheckedFile:
    """A text that is checked once, when somebody asks what is wrong with it."""

    def __init__(self, source: FileSource, check: Callable[[FileSource], list[Diagnostic]]) -> None:
        self.source = source
        self.lines = source.text().split("\n")
        self._check = check

    @cached_property
    def diagnostics(self) -> list[Diagnostic]:
        """What is wrong with it."""
        return self._check(self.source)


class YamlText(CheckedFile):
    """The text of a YAML file in an editor, saved or not, right or not."""

    @cached_property
    def kind(self) -> str:
        """Which of the files that AppNet reads it is; empty for those of others."""
        return kind_of(base_name(self.source), self.source.text())

    def hover(self, line: int, column: int) -> str:
        """Markdown on the key at the place, both counted from 1; empty where nothing is to be told."""
        here = next((it for it in lines_of(self.lines) if it.number == line and it.key is not None), None)
        if not self.kind or here is None or here.key is None:
            return ""
        begin = here.column + 1
        place = place_at(self.lines, line, here.begin + 1) if begin <= column <= begin + len(here.key) else None
        if place is None:
            return ""
        told = self._at(place).at([here.key]).description
        return f"`{here.key}`: {told}" if told else ""

    def completions(self, line: int, column: int) -> list[Completion]:
        """What could be written at the place."""
        place = place_at(self.lines, line, column) if self.kind else None
        if place is None:
            return []
        if place.key is not None:
            found = self._values(place, place.key)
        else:
            listed = str(place.path[-2]) if place.item and len(place.path) > 1 else ""
            found = [*self._keys(place), *(self._values(place, listed) if listed else ())]
        gap = " " if self.lines[line - 1 : line] and self.lines[line - 1][: column - 1].endswith(":") else ""
        return [replace(it, insert=f"{gap}{it.insert or it.text}", replaces=len(place.begun)) for it in found]

    def _keys(self, place: YamlPlace) -> list[Completion]:
        known = self._at(place).keys
        found = [
            Completion(key, "key", it.description, insert=f"{key}:" if it.holds != "value" else f"{key}: ")
            for key, it in known.items()
            if key not in place.beside
        ]
        others = [it for it in self._surroundings.keys(place) if it not in place.beside]
        return found + [Completion(it, "key", insert=f"{it}:") for it in others]

    def _values(self, place: YamlPlace, key: str) -> list[Completion]:
        here = self._at(place) if place.item else self._at(place).at([key])
        named = self._surroundings.values(key, place)
        return [*(Completion(it, "constant") for it in here.values), *(Completion(it, "name") for it in named)]

    @cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(self.source)

    def _at(self, place: YamlPlace) -> Place:
        return place_of(self.kind).at(place.path)
