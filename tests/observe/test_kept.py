"""What is kept is there again after a restart, within its bounds; what goes wrong with the disk costs records alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appnet.observe.database import FILE, StoreError
from appnet.observe.kept import Keep, Kept
from appnet.observe.points import CALLS, CLIENT, DURATIONS, INSTANCE, METHOD, SERVER, SIDE, VERSION, Histogram, Point
from appnet.observe.reading import Wanted
from appnet.observe.records import Record, Records, RecordValue
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals
from tests.support.asynchronous import asynchronous, eventually

SECOND = 10**9
HOUR = 3600 * SECOND


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


def kept(folder: Path, clock: Callable[[], int] | None = None, **bounds: Any) -> Kept:
    return Kept(Keep(folder, **bounds), RecordStore(), Totals(), clock or Clock())


def record(value: RecordValue, time_ns: int = 1, element: str = "logging", proxy: str = "echo-1.default") -> Records:
    return Records.of(Record(time_ns, element, "log", value, {"appnet.processor": proxy}))


def point(value: int | Histogram, name: str = CALLS, instance: str = "i", start_ns: int = 1, time_ns: int = 1) -> Point:
    where = {CLIENT: "a", SERVER: "b", SIDE: "client", VERSION: "1", INSTANCE: instance}
    return Point(name, {METHOD: "echo.Echo/echo"}, where, value, start_ns, time_ns)


def calls(totals: Any) -> int:
    return sum(it for it in totals.by([CALLS], (CLIENT, SERVER, SIDE, METHOD, VERSION)).values())


async def everything(store: Kept, wanted: Wanted = Wanted()) -> list[RecordValue]:  # noqa: B008 -- frozen
    more, found = store.since(wanted), list[Record]()
    while some := await more():
        found += some
    return [it.value for it in found]


VALUES: list[RecordValue] = [1, -(2**63), 0.5, True, None, "hé", b"\xff\x00", (1, ("a", 2.0)), (b"\xff", None), ()]


@asynchronous
async def test_records_are_there_again_as_they_were(tmp_path: Path) -> None:
    async with kept(tmp_path) as store:
        for number, value in enumerate(VALUES):
            store.add(record(value, number))
    async with kept(tmp_path) as store:
        found = await store.last(100, Wanted())
        assert [it.value for it in found] == VALUES
        assert [type(it.value) for it in found] == [type(it) for it in VALUES]
        assert [it.time_ns for it in found] == list(range(len(VALUES)))
        assert found[0].resource == {"appnet.processor": "echo-1.default"}
        assert (tmp_path / FILE).stat().st_mode & 0o077 == 0, "for this user alone"


@asynchronous
async def test_records_that_came_together_are_told_apart(tmp_path: Path) -> None:
    sent = [
        Record(part * 1_000 + it, "logging", "log", values[it % len(values)], {"appnet.processor": f"pod-{part % 2}.a"})
        for part, values in enumerate([["text", "hé"], [1, 2.0], [b"\xff", (1, "a")], [None, True], ["text"]])
        for it in range(700)
    ]
    async with kept(tmp_path) as store:
        for part in range(5):
            store.add(Records.of(*sent[part * 700 : part * 700 + 700]))
            assert await store.last(10_000, Wanted()) == sent[: part * 700 + 700]
        await store.flush()
        assert await store.last(10_000, Wanted()) == sent
        assert await store.last(5, Wanted(since_ns=3_000, namespace="a")) == sent[-5:]
        assert await store.last(5, Wanted(namespace="b")) == []


@asynchronous
async def test_a_store_takes_up_what_it_had_counted(tmp_path: Path) -> None:
    records = RecordStore()
    async with Kept(Keep(tmp_path), records, Totals()) as store:
        for number in range(3_000):
            records.add(it := record(float(number), number))
            store.add(it)
    again = RecordStore()
    async with Kept(Keep(tmp_path), again, Totals()):
        (summary,) = again.summaries()
        assert summary.count == 3_000
        assert summary.latest.value == 2999.0
        assert summary.floats is not None


@asynchronous
async def test_the_last_ones_are_by_their_times_wherever_they_are(tmp_path: Path) -> None:
    async with kept(tmp_path) as store:
        for times in ((5, 1), (9, 3), (4, 7)):
            for it in times:
                store.add(record(it, it, "logging" if it % 3 else "metrics", "a.one" if it < 5 else "b.two"))
            if times != (4, 7):
                await store.flush()  # the last two are not written yet
        assert [it.value for it in await store.last(3, Wanted())] == [5, 7, 9]
        assert [it.value for it in await store.last(0, Wanted())] == []
        assert [it.value for it in await store.last(9, Wanted(frozenset(["metrics"])))] == [3, 9]
        assert [it.value for it in await store.last(9, Wanted(namespace="one"))] == [1, 3, 4]
        assert [it.value for it in await store.last(9, Wanted(since_ns=5))] == [5, 7, 9]
        assert await everything(store, Wanted(frozenset(["logging", "other"]))) == [1, 5, 4, 7]


@asynchronous
async def test_many_records_are_read_in_parts_and_none_twice(tmp_path: Path) -> None:
    async with kept(tmp_path) as store:
        for number in range(70_000):
            store.add(record(number, number))
            if number == 60_000:
                await store.flush()
        await store.flush()
        store.add(record(70_000, 70_000))
        assert await everything(store) == list(range(70_001))
        assert [it.value for it in await store.last(2, Wanted())] == [69_999, 70_000]


@asynchronous
async def test_old_records_and_counts_go(tmp_path: Path) -> None:
    clock = Clock()
    totals = Totals()
    async with Kept(Keep(tmp_path, seconds=2 * 3600), RecordStore(), totals, clock) as store:
        for hour in range(5):
            store.add(record(hour, clock.now))
            totals.add(point(10 * (hour + 1), time_ns=clock.now))
            await store.flush()
            clock.now += HOUR
        assert await everything(store) == [2, 3, 4]
        before = await store.sums_before(24 * 3600)
        assert before is not None
        assert before.time == (clock.now - 3 * HOUR) / SECOND
        assert calls(before) == 30
    connection = sqlite3.connect(tmp_path / FILE)
    assert connection.execute("SELECT count(*) FROM points").fetchone()[0] <= 4


@asynchronous
async def test_records_take_no_more_of_the_disk_than_they_may(tmp_path: Path) -> None:
    most = 2 << 20
    noise = os.urandom(40_000).hex()
    async with kept(tmp_path, bytes=most) as store:
        for number in range(200):
            for part in range(100):
                store.add(record(noise[(number * 100 + part) :][:1_000] + os.urandom(500).hex(), number))
            await store.flush()
            assert (tmp_path / FILE).stat().st_size <= most
        assert store.size <= most + (8 << 20), "with its journal"
        found = await store.last(1, Wanted())
        assert found[0].time_ns == 199
        assert len(await everything(store)) > 500
        assert store.dropped == 0


@asynchronous
async def test_counts_of_the_past(tmp_path: Path) -> None:
    clock, totals = Clock(), Totals()
    began = clock.now
    async with Kept(Keep(tmp_path), RecordStore(), totals, clock) as store:
        for minute in range(61):
            if minute % 2 == 0:
                totals.add(point(100 * minute, time_ns=clock.now))
                took = Histogram(3, minute, (50 * minute, 50 * minute), float(minute))
                totals.add(point(took, DURATIONS["client"], time_ns=clock.now))
            await store.flush()
            clock.now += 60 * SECOND
        clock.now -= 60 * SECOND
        before = await store.sums_before(1800)
        assert before is not None
        assert before.time == (began + 1800 * SECOND) / SECOND
        assert calls(before) == 3000
        (took,) = before.by(DURATIONS.values(), (CLIENT, SERVER, SIDE, METHOD, VERSION)).values()
        assert took == Histogram(3, 30, (1500, 1500), 30.0)
        earliest = await store.sums_before(86_400)
        assert earliest is not None
        assert (earliest.time, calls(earliest)) == (began / SECOND, 0)
        sums = [calls(it) for it in await store.sums_over(600, 60)]
        assert sums == [5000, 5000, 5200, 5200, 5400, 5400, 5600, 5600, 5800, 5800, 6000]


@asynchronous
async def test_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    now = [0.0]
    totals = Totals(max_instances=1, clock=lambda: now[0])
    async with Kept(Keep(tmp_path), RecordStore(), totals):
        totals.add(point(5, instance="gone"))
        now[0] = 100.0
        totals.add(point(7, instance="lives"))
        assert calls(totals) == 12
    again = Totals()
    async with Kept(Keep(tmp_path), RecordStore(), again) as store:
        assert calls(again) == 12, "also of what has ended"
        again.add(point(9, instance="lives", time_ns=2))
        assert calls(again) == 14, "one that goes on counts once"
        await store.flush()
        again.add(point(1, instance="lives", start_ns=2, time_ns=3))
        assert calls(again) == 15, "and one that starts again anew"
    third = Totals()
    async with Kept(Keep(tmp_path), RecordStore(), third):
        assert calls(third) == 15


WRITES = """
import asyncio, sys
from pathlib import Path
from appnet.observe.kept import Keep, Kept
from appnet.observe.records import Record, Records
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals

async def main():
    async with Kept(Keep(Path(sys.argv[1])), RecordStore(), Totals()) as store:
        number = 0
        while True:
            for _ in range(100):
                store.add(Records.of(Record(number, "logging", "log", number, {})))
                number += 1
            await store.flush()
            print(number, flush=True)

asyncio.run(main())
"""


def test_a_killed_process_loses_what_it_had_not_written(tmp_path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITES, tmp_path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        told += [int(it) for it in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()

        async def read(written: int) -> None:
            async with kept(tmp_path) as store:
                found = await everything(store)
                assert set(range(written)) <= set(found), "all that it had said to be written"
                assert len(found) % 100 == 0, "and nothing in parts"

        asyncio.run(read(told[-1]))


@asynchronous
async def test_one_process_at_a_time(tmp_path: Path) -> None:
    async with kept(tmp_path):
        with pytest.raises(
            StoreError, match=r"another process keeps its telemetry in .*: end it, or name another folder"
        ):
            await kept(tmp_path).__aenter__()
    async with kept(tmp_path):
        pass


@asynchronous
async def test_files_that_must_not_be_touched(tmp_path: Path) -> None:
    async with kept(tmp_path):
        pass
    file = tmp_path / FILE
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    content = file.read_bytes()
    with pytest.raises(
        StoreError, match=r"written by a newer AppNet \(its layout is 7, .*\): use that version, remove"
    ):
        await kept(tmp_path).__aenter__()
    assert file.read_bytes() == content
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE cats (name)")
    connection.close()
    with pytest.raises(StoreError, match=r"telemetry\.db is another program's: move it, or name another folder"):
        await kept(tmp_path).__aenter__()


def no_sqlite(content: bytes) -> bytes:
    return b"\xde\xad" * (len(content) // 2)


def holes(content: bytes) -> bytes:
    return content[:8192] + os.urandom(len(content) - 8192)


@pytest.mark.parametrize("harm", [no_sqlite, holes])
@asynchronous
async def test_a_damaged_file_is_set_aside(
    tmp_path: Path, harm: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / FILE
    async with kept(tmp_path) as store:
        for number in range(20_000):
            store.add(record(os.urandom(10).hex(), number))
    file.write_bytes(harm(file.read_bytes()))
    async with kept(tmp_path) as store:
        assert await store.last(10, Wanted(frozenset(["nobody"]))) == []
        assert await everything(store) == []
        store.add(record("new"))
        await store.flush()
        assert await everything(store) == ["new"]
        assert store.trouble == ""
    assert "is damaged" in caplog.text
    assert f"set aside as {file}.damaged, and a new file begun" in caplog.text
    async with kept(tmp_path) as store:
        assert await everything(store) == ["new"]


@asynchronous
async def test_damage_while_it_runs_keeps_what_instances_told(tmp_path: Path) -> None:
    file, totals = tmp_path / FILE, Totals()
    async with Kept(Keep(tmp_path), RecordStore(), totals) as store:
        totals.add(point(5))
        for number in range(20_000):
            store.add(record(os.urandom(10).hex(), number))
        await store.flush()
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("UPDATE chunks SET body = x'00'")
        connection.commit()
        connection.close()
        assert await everything(store) == []
        await store.flush()
    assert Path(f"{file}.damaged").exists()
    again = Totals()
    async with Kept(Keep(tmp_path), RecordStore(), again):
        assert calls(again) == 5


FILLS = """
import asyncio, json, os, resource, sys
from pathlib import Path
from appnet.observe.kept import Keep, Kept
from appnet.observe.reading import Wanted
from appnet.observe.records import Record, Records
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals

def limited(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    if sys.argv[2] == "from the start":
        limited(0)
    async with Kept(Keep(Path(sys.argv[1])), RecordStore(), Totals()) as store:
        async def some(name):
            for number in range(1_000):
                store.add(Records.of(Record(number, "logging", "log", name + os.urandom(20).hex(), {})))
            await store.flush()
        if sys.argv[2] != "from the start":
            await some("before")
            limited((Path(sys.argv[1]) / "telemetry.db").stat().st_size // 2)
        await some("meanwhile")
        full = store.trouble, store.dropped
        limited(resource.RLIM_INFINITY)
        store._tried = -1e9  # without waiting for ten seconds
        await some("after")
        found = [it.value[:5] for it in await store.last(10_000, Wanted())]
        print(json.dumps({"full": full, "after": [store.trouble, store.dropped],
                          "found": {it: found.count(it) for it in sorted(set(found))}}))

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["from the start", "later"])
def test_a_full_disk_costs_records_alone(tmp_path: Path, when: str) -> None:
    ran = subprocess.run([sys.executable, "-c", FILLS, tmp_path, when], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    trouble, dropped = told["full"]
    assert f"records are not kept in {tmp_path}: " in trouble
    assert "make room there, or name another --store" in trouble
    assert dropped == 1_000
    assert told["after"] == ["", 1_000]
    assert told["found"] == {"after": 1_000} | ({} if when == "from the start" else {"befor": 1_000})
    assert "is kept in" in ran.stderr or when == "later"


@asynchronous
async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with kept(tmp_path / "file" / "store") as store:
        store.add(record(1))
        await store.flush()
        assert store.dropped == 1
        assert "Not a directory" in store.trouble
        assert await store.last(10, Wanted()) == []
        assert await store.sums_before(60) is None


@asynchronous
async def test_what_comes_faster_than_the_disk_takes_it_is_counted(tmp_path: Path) -> None:
    async with kept(tmp_path) as store:
        some = Records("logging", "log", {}, range(1_000), range(1_000))
        for _ in range(210):  # no chance to write in between
            store.add(some)
        assert store.dropped == 10_000
        text = "x" * (1 << 20)
        await store.flush()
        for number in range(80):
            store.add(record(text, number))
        assert store.dropped == 10_000 + 16, "64 MiB may wait"


@asynchronous
async def test_records_are_written_without_being_asked_to(tmp_path: Path) -> None:
    async with kept(tmp_path) as store:
        store.add(record(1))

        def written() -> bool:
            with sqlite3.connect(tmp_path / FILE) as connection:
                return bool(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])

        await eventually(written, 60)


@asynchronous
async def test_streams_with_many_names_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appnet.observe.keeping.MOST_STREAMS", 3)
    async with kept(tmp_path) as store:
        for number in range(10):
            store.add(record(number, number, f"element{number}"))
            await store.flush()
        assert await everything(store) == [7, 8, 9]
