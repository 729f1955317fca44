from pathlib import Path

import pytest

from appnet.cli.errors import check_writable
from appnet.diagnostics.diagnostic import DiagnosticError
from tests.support import snapshots


def test_a_place_that_cannot_be_written(request: pytest.FixtureRequest) -> None:
    with pytest.raises(DiagnosticError) as caught:
        check_writable(Path("/proc/none/prices.yaml"))
    snapshots.compare(str(caught.value), Path(__file__).parent / "bad_place.txt", request)


def test_looking_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    check_writable(file)
    assert not file.exists()
    file.write_text("kept")
    check_writable(file)
    assert file.read_text() == "kept"
