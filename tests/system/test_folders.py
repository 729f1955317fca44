"""Folders that go with their process, whatever ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from appnet.system.folders import work_folder

HOLDS = """
import sys
from pathlib import Path
from appnet.system.folders import work_folder
with work_folder(Path(sys.argv[1]), "build-") as folder:
    (folder / "half.c").write_text("int")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    left = Path(holder.stdout.readline().strip())
    foreign = tmp_path / "build-mine"
    foreign.mkdir()
    with work_folder(tmp_path, "build-") as folder:
        assert folder.is_dir()
        assert left.is_dir(), "it is in use"
    assert not folder.exists()
    holder.kill()
    holder.wait(20)
    assert (left / "half.c").is_file()
    with work_folder(tmp_path, "build-"):
        assert not left.exists()
    assert [it.name for it in tmp_path.iterdir()] == ["build-mine"], "what is not named by us is of others"
