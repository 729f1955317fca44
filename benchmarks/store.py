"""Where telemetry could be kept: SQLite with chunks of records, as AppNet does it, or a row each, and DuckDB.

    python -m benchmarks.store [--rounds N] [--records N] [--record]

Each round gives every store the same records in batches, as a second brings them, and an hour of counts; then it asks
each for the last 100 records of one element, and for the calls that this element refused in each minute. The stores
take turns, each on a new file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from appnet.observe.database import Database
from appnet.observe.history import Sample, SeriesKey, sums_at
from appnet.observe.keeping import Writer
from appnet.observe.points import ATTRIBUTES, ELEMENT, REFUSALS
from appnet.observe.reading import Wanted, last_kept
from appnet.observe.records import Record, Records
from benchmarks import report, results

ELEMENTS = 20
BATCH = 20_000
SERIES = 200
SAMPLES, MINUTES, SECONDS = 360, 60, 10
WANTED = "element7"
LAST = 100
TITLES = {"chunks": "SQLite, chunks", "rows": "SQLite, a row each", "duckdb": "DuckDB, a row each"}
_BEGAN = 1_800_000_000 * 10**9
_ASKED = 5


class Store(Protocol):
    """What is measured."""

    def add(self, records: Sequence[Records]) -> None:
        """A batch, which is on disk afterwards."""

    def count(self, time_ns: int, sums: dict[SeriesKey, int]) -> None:
        """A sample of all counts."""

    def last(self) -> list[str]:
        """The values of the last records of the wanted element, oldest first."""

    def rates(self) -> list[int]:
        """Calls that it refused in each minute."""

    def close(self) -> int:
        """How many bytes it takes on disk."""


class Chunks:
    """AppNet's own."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder)
        self._writer = Writer(self._database, 1e9, 1 << 40, lambda: _BEGAN)
        self._writer.open()

    def add(self, records: Sequence[Records]) -> None:
        self._writer.write(list(records), [], None)

    def count(self, time_ns: int, sums: dict[SeriesKey, int]) -> None:
        self._writer.write([], [], Sample(time_ns, sums, {}, set(), {}))

    def last(self) -> list[str]:
        with self._database.reading() as connection:
            found = last_kept(connection, LAST, Wanted(frozenset([WANTED])), self._writer.last, [])
        return [str(it.value) for it in found]

    def rates(self) -> list[int]:
        with self._database.reading() as connection:
            sums = sums_at(connection, _minutes(), WANTED)
        counts = [sum(v for v in it.sums.values() if isinstance(v, int)) for it in sums]
        return [now - before for before, now in itertools.pairwise(counts)]

    def close(self) -> int:
        self._database.close()
        return self._database.size()


_TABLES = """
CREATE TABLE records (time BIGINT, stream VARCHAR, resource VARCHAR, value VARCHAR);
CREATE TABLE points (time BIGINT, element VARCHAR, series VARCHAR, value BIGINT);
"""
_LAST = "SELECT value FROM records WHERE stream = ? ORDER BY time DESC LIMIT ?"
_SUMS = "SELECT time, sum(value) FROM points WHERE element = ? AND time IN ({}) GROUP BY time ORDER BY time"


class Rows:
    """A row for each record and each point, in any database that speaks SQL."""

    def __init__(self, connection: Any, file: Path) -> None:
        self._connection, self._file = connection, file

    def add(self, records: Sequence[Records]) -> None:
        each = itertools.chain.from_iterable(records)
        rows = [(it.time_ns, it.element, json.dumps(it.resource), json.dumps(it.value)) for it in each]
        self._insert("records", rows)

    def count(self, time_ns: int, sums: dict[SeriesKey, int]) -> None:
        self._insert("points", [(time_ns, _element(it), json.dumps(it), value) for it, value in sums.items()])

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        raise NotImplementedError

    def last(self) -> list[str]:
        found = self._connection.execute(_LAST, (WANTED, LAST)).fetchall()
        return [str(json.loads(it)) for (it,) in reversed(found)]

    def rates(self) -> list[int]:
        times = _minutes()
        found = self._connection.execute(_SUMS.format(",".join(map(str, times))), (WANTED,)).fetchall()
        return [int(now - before) for (_, before), (_, now) in itertools.pairwise(found)]

    def close(self) -> int:
        self._connection.close()
        return sum(it.stat().st_size for it in self._file.parent.glob(f"{self._file.name}*"))


class SqliteRows(Rows):
    """With the indices that the questions need."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        file = folder / "rows.db"
        connection = sqlite3.connect(file, isolation_level=None)
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + _TABLES)
        connection.execute("CREATE INDEX of_stream ON records (stream, time)")
        connection.execute("CREATE INDEX of_element ON points (element, time)")
        super().__init__(connection, file)

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")


class DuckRows(Rows):
    """Without indices, as DuckDB's own guide says; in whole columns, because it takes a millisecond for a row."""

    def __init__(self, folder: Path) -> None:
        import duckdb  # noqa: PLC0415 -- only for this

        folder.mkdir()
        connection = duckdb.connect(str(folder / "rows.duckdb"), config={"threads": 1, "memory_limit": "512MB"})
        connection.execute(_TABLES)
        super().__init__(connection, folder / "rows.duckdb")

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        columns = [list(it) for it in zip(*rows, strict=True)]
        self._connection.execute(f"INSERT INTO {table} SELECT unnest(?), unnest(?), unnest(?), unnest(?)", columns)


STORES: dict[str, Callable[[Path], Store]] = {"chunks": Chunks, "rows": SqliteRows, "duckdb": DuckRows}


def _minutes() -> list[int]:
    """Of each minute, when its last sample was taken; before them the first sample of all."""
    return [_BEGAN + minute * 60 * 10**9 for minute in range(MINUTES)]


def _element(series: SeriesKey) -> str:
    return series[1][ATTRIBUTES[REFUSALS].index(ELEMENT)]


def batches(number: int) -> list[list[Records]]:
    """Lines as `logging` records them, of 20 elements in two proxies; the same ones each time. In each batch, those of
    an element and proxy have come together."""
    chance = random.Random(1)
    proxies = [{"service.name": "echo", "appnet.processor": f"echo-{it}.default", "appnet.version": "1"} for it in "ab"]
    every = [
        Record(
            _BEGAN + it * 20_000, f"element{chance.randrange(ELEMENTS)}", "log",
            f"GET /users/{chance.randrange(10**6)} by {chance.choice(('alice', 'bob', 'carol'))}", proxies[it % 2],
        )
        for it in range(number)
    ]  # fmt: skip
    found = []
    for first in range(0, number, BATCH):
        together: dict[tuple[str, int], list[Record]] = {}
        for it in every[first : first + BATCH]:
            together.setdefault((it.element, id(it.resource)), []).append(it)
        found.append([Records.of(*it) for it in together.values()])
    return found


def samples() -> list[dict[SeriesKey, int]]:
    """An hour of counts; each changes now and then."""
    chance, found = random.Random(2), []
    sums: dict[SeriesKey, int] = {}
    for _ in range(SAMPLES):
        for it in range(SERIES):
            values = dict.fromkeys(ATTRIBUTES[REFUSALS], "x") | {
                "rpc.method": str(it),
                ELEMENT: f"element{it % ELEMENTS}",
            }
            key = (REFUSALS, tuple(values.values()))
            sums[key] = sums.get(key, 0) + chance.randrange(3)
        found.append(dict(sums))
    return found


def measured(store: Store, came: Sequence[Sequence[Records]], hour: Sequence[dict[SeriesKey, int]]) -> dict[str, Any]:
    """What one store does with it, and what it answers."""
    began = time.perf_counter()
    for it in came:
        store.add(it)
    took = time.perf_counter() - began
    for number, sums in enumerate(hour):
        store.count(_BEGAN + number * SECONDS * 10**9, sums)
    last = [_timed(store.last) for _ in range(_ASKED)]
    rates = [_timed(store.rates) for _ in range(_ASKED)]
    many = sum(len(it) for batch in came for it in batch)
    return {
        "ingest": took / many * 1e6,
        "last": statistics.median(it for it, _ in last) * 1e3,
        "rates": statistics.median(it for it, _ in rates) * 1e3,
        "disk": store.close() / many,
        "answers": (last[0][1], rates[0][1]),
    }


def _timed(ask: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = ask()
    return time.perf_counter() - began, found


METRICS = {
    "ingest": (f"a record taken, in batches of {BATCH:,}", "us"),
    "disk": ("on disk, a record", "B"),
    "last": (f"last {LAST} records of an element", "ms"),
    "rates": ("rate of an element, each minute of an hour", "ms"),
}


def run(rounds: int, number: int, told: Callable[[str], None]) -> list[results.Row]:
    """The rows of the table. Raises RuntimeError where stores answer differently."""
    came, hour = batches(number), samples()
    found: dict[str, dict[str, list[float]]] = {metric: {it: [] for it in STORES} for metric in METRICS}
    for round_ in range(rounds):
        answers = []
        for name, opened in STORES.items():
            told(f"round {round_ + 1} of {rounds}: {TITLES[name]}")
            folder = Path(tempfile.mkdtemp(prefix="appnet-store-"))
            try:
                one = measured(opened(folder / "store"), came, hour)
            finally:
                shutil.rmtree(folder)
            answers.append(one["answers"])
            for metric in METRICS:
                found[metric][name].append(one[metric])
        if any(it != answers[0] for it in answers):
            raise RuntimeError("the stores do not answer alike")
    return [
        row
        for metric, (title, unit) in METRICS.items()
        for row in results.summarize(found[metric], title, unit, "chunks")
    ]


def main() -> None:
    """Prints the table, and writes it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000)
    results.add_record_option(parser)
    given = parser.parse_args()
    console = Console()
    with console.status("making records") as status:
        rows = run(given.rounds, given.records, status.update)
    context = {
        "rounds": given.rounds,
        "records": given.records,
        "titles": TITLES,
        "versions": {"sqlite": sqlite3.sqlite_version, "duckdb": version("duckdb")},
    }
    console.print(report.table(rows, TITLES, f"{given.records:,} records"))
    console.print(f"written to {results.save('store', rows, context, record=given.record)}")


if __name__ == "__main__":
    main()
