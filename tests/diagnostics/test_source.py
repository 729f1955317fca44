"""Sources: equal where they are the same place, whatever they are called and whatever stands there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import Diagnostic, Severity, UnreadableError
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import FileSource, InlineSource, MemorySource, TextSource, base_name, stem


def test_the_same_place_by_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    here = FileSource(Path("it.yaml"))
    same = [
        FileSource(tmp_path / "link" / "it.yaml"),
        FileSource(Path("../real/./it.yaml")),
        TextSource(Path("it.yaml"), "text"),
    ]
    assert {here, *same} == {here}
    monkeypatch.chdir(tmp_path)
    assert FileSource(Path("it.yaml")) != here
    assert here == same[0], "where one was made counts"
    assert here != MemorySource("it.yaml", {})


def test_texts_in_memory_are_told_apart_by_origin_and_name() -> None:
    one = MemorySource("a/it.yaml", {"a/it.yaml": "one"}, "default/map")
    assert one == MemorySource("a/../a/it.yaml", {}, "default/map")
    assert one != MemorySource("a/it.yaml", {}, "other/map")
    assert one != MemorySource("a/it.yml", {}, "default/map")
    assert one.name == "default/map/a/it.yaml"
    assert one.text() == "one"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("b.proto", "a/b.proto"), ("../b.proto", "b.proto"), ("./c/../b.proto", "a/b.proto"), ("/c/b.proto", "c/b.proto")],
)
def test_what_stands_beside(name: str, expected: str) -> None:
    texts = {expected: "found"}
    found = MemorySource("a/it.yaml", texts).beside(name)
    assert (found.name, found.text()) == (expected, "found")


def test_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.proto").write_text("found")
    here = TextSource(tmp_path / "it.yaml", "")
    assert here.beside("b.proto") == FileSource(tmp_path / "b.proto")
    assert here.beside("b.proto").text() == "found"
    assert here.beside(str(tmp_path / "b.proto")).text() == "found"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda it: FileSource(it / "absent"), "No such file or directory"),
        (FileSource, "Is a directory"),
        (lambda it: FileSource(it / "latin1"), "not UTF-8 text"),
        (lambda _: MemorySource("absent", {}), "no such text"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, make: object, reason: str) -> None:
    (tmp_path / "latin1").write_bytes(b"caf\xe9")
    assert callable(make)
    source: Source = make(tmp_path)
    with pytest.raises(UnreadableError) as caught:
        source.text()
    assert caught.value.reason == reason
    (told,) = caught.value.diagnostics
    assert (told.code, told.span) == ("C001", Span.whole(source))
    assert told.help


def test_line_ends_are_line_feeds(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"a\r\nb\rc\n")
    assert FileSource(tmp_path / "it").text() == "a\nb\nc\n"


def test_a_diagnostic_shows_what_its_source_says() -> None:
    source = TextSource(Path("it.appnet"), "one\ntwo\n")
    told = Diagnostic("E003", Severity.ERROR, "a title", Span(source, 2, 1, 2, 4), "this")
    assert "2 | two\n  | ^^^ this" in told.render()
    text = MemorySource("it.appnet", {"it.appnet": "1\n2\n"}, "map")
    assert " --> map/it.appnet:2:1" in Diagnostic("E003", Severity.ERROR, "", Span(text, 2, 1, 2, 2)).render()


def test_names() -> None:
    assert (base_name(FileSource(Path("a/it.b.yaml"))), stem(FileSource(Path("a/it.b.yaml")))) == ("it.b.yaml", "it.b")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(UnreadableError) as caught:
        FileSource(file).text()
    assert caught.value.reason == "too large"


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/full", "/dev/null", "pipe"])
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError) as caught:
        FileSource(tmp_path / name).text()
    assert caught.value.reason == "a device or a pipe"


def test_a_text_inside_a_file(tmp_path: Path) -> None:
    around = FileSource(tmp_path / "it.yaml")
    first, second = (InlineSource("a.appnet", "text", around, line) for line in (3, 9))
    assert first != second
    assert first == InlineSource("a.appnet", "other", around, 3)
    assert (first.name, first.text()) == (f"{tmp_path}/it.yaml:3/a.appnet", "text")
    assert first.beside("b.proto") == FileSource(tmp_path / "b.proto")
