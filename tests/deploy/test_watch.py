"""Saves as editors make them, told once and soon."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from appnet.deploy.local.watch import saves
from tests.support.asynchronous import asynchronous


@contextlib.asynccontextmanager
async def watching(files: Callable[[], Iterable[Path]]) -> AsyncIterator[asyncio.Queue[frozenset[Path]]]:
    """What `saves` tells, after its first word that anything may have been saved before."""
    stop = asyncio.Event()
    told: asyncio.Queue[frozenset[Path]] = asyncio.Queue()

    async def listen() -> None:
        async for saved in saves(files, stop):
            told.put_nowait(saved)

    task = asyncio.create_task(listen())
    assert await next_of(told) == frozenset()
    yield told
    stop.set()
    await task


async def next_of(told: asyncio.Queue[frozenset[Path]]) -> frozenset[Path]:
    return await asyncio.wait_for(told.get(), 10)


@asynchronous
async def test_a_save_in_place_and_one_by_renaming(tmp_path: Path) -> None:
    element = tmp_path / "firewall.appnet"
    element.write_text("one")
    async with watching(lambda: [element]) as told:
        element.write_text("two")
        assert await next_of(told) == {element}
        draft = tmp_path / ".firewall.appnet.swp"
        draft.write_text("three")
        draft.rename(element)
        assert await next_of(told) == {element}


@asynchronous
async def test_a_save_is_told_at_once(tmp_path: Path) -> None:
    element = tmp_path / "firewall.appnet"
    element.write_text("one")
    took = []
    async with watching(lambda: [element]) as told:
        for number in range(5):
            began = time.monotonic()
            element.write_text(str(number))
            await next_of(told)
            took.append(time.monotonic() - began)
    assert min(took) < 1, f"{took}: it waits whether more is to come"


@asynchronous
async def test_other_files_are_not_told(tmp_path: Path) -> None:
    element = tmp_path / "firewall.appnet"
    element.write_text("one")
    async with watching(lambda: [element]) as told:
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / "new.appnet").write_text("x")
        assert await next_of(told) == {tmp_path / "new.appnet"}


@asynchronous
async def test_folders_are_asked_for_again(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "x.appnet", tmp_path / "b" / "y.proto"
    for it in (first, second):
        it.parent.mkdir()
        it.write_text("")
    files = [first]
    async with watching(lambda: files) as told:
        files.append(second)
        first.write_text("now it needs the other")
        assert await next_of(told) == {first}
        assert await next_of(told) == frozenset()  # the other may have been saved meanwhile
        second.write_text("x")
        assert await next_of(told) == {second}


@asynchronous
async def test_a_link_is_told_by_what_it_leads_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "x.appnet", tmp_path / "links"
    real.parent.mkdir()
    real.write_text("")
    link.symlink_to(real.parent)
    async with watching(lambda: [link / "x.appnet"]) as told:
        real.write_text("x")
        assert await next_of(told) == {real}


@asynchronous
async def test_a_link_that_leads_to_itself_is_told_and_survived(tmp_path: Path) -> None:
    element = tmp_path / "x.appnet"
    element.write_text("")
    async with watching(lambda: [element]) as told:
        element.unlink()
        element.symlink_to(element)
        assert await next_of(told) == {element}
        element.unlink()
        assert await next_of(told) == {element}
