import ctypes
import shutil
import threading
from pathlib import Path

import pytest

from appnet.codegen.c.build import compile_library, compile_zig_object
from appnet.diagnostics.diagnostic import InternalError
from appnet.system import zig
from appnet.system.cache import cache_directory


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache but for what zig itself needs once."""
    zig = cache_directory() / "zig"
    zig.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "appnet").mkdir(parents=True)
    (tmp_path / "cache" / "appnet" / "zig").symlink_to(zig)
    return tmp_path / "cache" / "appnet"


def _source(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "probe.c"
    path.write_text(text)
    return path


def _add(directory: Path, added: int) -> Path:
    directory.mkdir(exist_ok=True)
    text = 'VISIBLE int an_test(int a) { return a + ADDED; }\n#include "probe.h"\n'
    (directory / "probe.h").write_text(f"int an_more(void);\n/* {added} */\n")
    return _source(directory, f'#define VISIBLE __attribute__((visibility("default")))\n#define ADDED {added}\n{text}')


def test_a_library_of_several_files_can_be_opened(tmp_path: Path, cache: Path) -> None:
    first = tmp_path / "first.c"
    first.write_text('#include "sum.h"\nstatic int one(void) { return 1; }\n')
    second = tmp_path / "second.c"
    second.write_text('__attribute__((visibility("default"))) int an_test(int a) { return an_sum(a, one() + TWO); }\n')
    (tmp_path / "include").mkdir()
    (tmp_path / "include/sum.h").write_text("static inline int an_sum(int a, int b) { return a + b; }\n")
    library = tmp_path / "sum.so"
    library.write_bytes(compile_library([first, second], include=[tmp_path / "include"], flags=["-DTWO=2"]))
    assert ctypes.CDLL(str(library)).an_test(39) == 42


def test_what_was_built_is_not_built_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _add(tmp_path, 1)
    module = compile_library([source])
    monkeypatch.setattr(zig, "_run_compiler", lambda *_: pytest.fail("compiled again"))
    assert compile_library([source]) == module


def test_what_was_used_least_recently_makes_room(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (compile_library([_add(tmp_path / f"{number}", number)]) for number in (1, 2))
    oldest = next(it for it in (cache / "modules").iterdir() if it.read_bytes() == second)
    compile_library([_add(tmp_path / "1", 1)])  # used again, and so newer than the second
    monkeypatch.setattr(zig, "_KEPT_BYTES", 2 * len(first) + 1000)
    compile_library([_add(tmp_path / "3", 3)])
    assert not oldest.exists()
    assert len(list((cache / "modules").iterdir())) == 2


def test_a_changed_header_is_a_changed_source(tmp_path: Path, cache: Path) -> None:
    source = _add(tmp_path, 1)
    compile_library([source])
    (tmp_path / "probe.h").write_text("int an_more(void);\n/* other */\n")
    compile_library([source])
    assert len(list((cache / "modules").iterdir())) == 2


def test_what_does_not_compile_is_kept_and_told(tmp_path: Path, cache: Path) -> None:
    source = _source(tmp_path, "int an_test(void) { int unused = 1; return 0; }\n")
    with pytest.raises(InternalError, match="unused variable 'unused'") as raised:
        compile_library([source])
    kept = Path(str(raised.value.node))
    assert kept.parent == cache / "failed"
    assert "probe.c" in kept.read_text()
    assert [path.name for path in cache.iterdir() if path.name.startswith("build-")] == []


def test_builds_at_the_same_time_agree(tmp_path: Path, cache: Path) -> None:
    source = _add(tmp_path, 7)
    modules: list[bytes] = []
    threads = [threading.Thread(target=lambda: modules.append(compile_library([source]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(modules) == 3
    assert len(set(modules)) == 1


def test_libraries_can_be_built_for_the_other_machine(tmp_path: Path, cache: Path) -> None:
    elf_machine = slice(18, 20)
    source = _add(tmp_path, 1)
    assert compile_library([source], machine="aarch64")[elf_machine] == b"\xb7\0"
    assert compile_library([source], machine="x86_64")[elf_machine] == b"\x3e\0"


def test_old_glibcs_can_load_a_library(tmp_path: Path, cache: Path) -> None:
    source = _source(tmp_path, '#include <string.h>\n__attribute__((visibility("default"))) void *an_test(void *a, '
                               "const void *b, unsigned long n) { return memcpy(a, b, n); }\n")  # fmt: skip
    assert b"GLIBC_2.14" in compile_library([source], machine="x86_64")


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache_directory() == Path.home() / ".cache/appnet"


_ZIG = 'pub const panic = @import("std").debug.no_panic;\nexport fn an_sum(a: i32, b: i32) i32 { return a + b; }\n'


def test_what_has_an_object_from_zig_is_the_same_wherever_it_is_built(tmp_path: Path, cache: Path) -> None:
    """The loader has one: proxies tell loaders apart by their contents, and they may be built elsewhere."""
    source, caller, library = tmp_path / "sum.zig", tmp_path / "caller.c", tmp_path / "caller.so"
    source.write_text(_ZIG)
    text = 'int an_sum(int a, int b);\n__attribute__((visibility("default"))) int an_test(int a) { return an_sum(a, 2); }\n'
    caller.write_text(text)
    first = compile_library([caller], objects=[compile_zig_object(source)])
    library.write_bytes(first)
    assert ctypes.CDLL(str(library)).an_test(40) == 42
    shutil.rmtree(cache / "modules")
    assert compile_library([caller], objects=[compile_zig_object(source)]) == first


def test_zig_that_does_not_compile_is_kept(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "sum.zig"
    source.write_text(_ZIG.replace("a + b", "a + c"))
    with pytest.raises(InternalError, match="use of undeclared identifier 'c'") as told:
        compile_zig_object(source)
    (kept,) = (cache / "failed").iterdir()
    assert kept.suffix == ".zig"
    assert str(kept) in str(told.value)
