"""The dashboard of a real `run` and `serve`, as programs and as a browser see it."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dashboard.shown import Markup, many, served
from tests.dashboard.shown import running as shown_running
from tests.quickstart.serving import serving
from tests.quickstart.support import running, sample
from tests.support.asynchronous import asynchronous
from tests.support.chromium import MISSING, browser, chromium

pytestmark = pytest.mark.e2e
in_a_browser = pytest.mark.skipif(browser() is None, reason=MISSING)

EDGE = "edge?client=frontend&server=server"
_PAUSE_SECONDS, _MOST_CALLS = 0.05, 5_000


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the dashboard of `run` is, while the echo application is called; every third call is refused."""
    folder = tmp_path_factory.mktemp("run")
    config = sample(folder)
    fault = config.with_name("fault.appnet")
    fault.write_text(fault.read_text().replace("prob = 0.99", "prob = 1.0"))
    ended = threading.Event()
    with running(folder, config) as it:
        place = it.rest_of_line("dashboard: ").partition(";")[0]
        it.wait_for("press Ctrl-C to stop")

        def call() -> None:
            for number in range(_MOST_CALLS):
                key = "hello" if number % 3 else "test"
                with suppress(OSError), urllib.request.urlopen(f"{it.url}/?key={key}", timeout=10):
                    pass
                if ended.wait(_PAUSE_SECONDS):
                    break

        calling = threading.Thread(target=call)
        calling.start()
        try:
            yield f"{place}dashboard/"
        finally:
            ended.set()
            calling.join()


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return " ".join(Markup(answer.read().decode()).text.split())


def until(url: str, wanted: str) -> str:
    """What the page says, once that is in it."""
    deadline = time.monotonic() + 180
    while not re.search(wanted, text := text_of(url)):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    return text


def test_what_run_shows(dashboard: str) -> None:
    until(dashboard, r"firewall frontend → server req ABORTED \d[\d.]* \d+")
    until(dashboard, r"frontend → server \d[\d.]* \d[\d.]* [\d.]+ % [\d.]+ [µm]?s [\d.]+ [µm]?s \d+ fault")
    edge = text_of(dashboard + EDGE)
    assert re.search(r"server-sidecar server sidecar yes [0-9a-f]{12} acked", edge)
    assert "expected CPU per RPC" in edge
    until(f"{dashboard}element?client=frontend&server=server&element=firewall", r"1a\.1b otherwise .* [\d.]+ \d+ 100 %")
    until(f"{dashboard}records", r"logging\.record_req 'hello' frontend-sidecar")
    with urllib.request.urlopen(f"{dashboard}refusals", timeout=60) as answer:
        numbers = re.findall(r"refusal\?number=\d+", answer.read().decode())
    why = text_of(dashboard + numbers[0])
    assert "firewall refused a call of echo.EchoService/echo" in why
    assert "Run again on the interpreter, it refuses in the same row." in why


def test_what_serve_shows(tmp_path: Path) -> None:
    with serving(tmp_path, sample(tmp_path), "--upstream=server=127.0.0.1:9") as it:
        place = it.it.rest_of_line("dashboard and status at ").strip()
        assert "frontend → server" in text_of(place)
        rollout = text_of(f"{place}dashboard/rollout")
        assert "server-sidecar server sidecar no" in rollout
        assert f"appnetctl rollout undo --status 127.0.0.1:{it.status}" in rollout
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(place + "dashboard/", headers={"Host": "attacker.example"}))


@in_a_browser
@asynchronous
async def test_a_page_is_live(dashboard: str) -> None:
    async with chromium() as tab:
        await tab.open("dark")
        await tab.go(dashboard)
        await tab.until("document.getElementById('state').textContent === 'Live'")
        cell = "document.querySelector('#edges tbody td')"
        await tab.until(f"{cell}.dataset.number > 0")
        assert await tab.evaluate(f"document.querySelector('tspan').textContent === {cell}.textContent")
        assert await tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
        latest = await tab.evaluate("document.querySelector('#refusals tbody tr').dataset.key")
        await tab.until(f"document.querySelector('#refusals tbody tr').dataset.key > {latest}")
        await tab.evaluate("document.getElementById('pause').click()")
        assert await tab.evaluate("document.getElementById('state').textContent") == "Paused"
        for page in (EDGE, "element?client=frontend&server=server&element=firewall", "refusals", "records", "rollout"):
            await tab.go(dashboard + page, 390, 800, ready="document.getElementById('state').textContent === 'Live'")
            wide = "document.documentElement.scrollWidth"
            assert await tab.evaluate(f"{wide} <= document.documentElement.clientWidth"), f"{page} on a phone"
            assert await tab.evaluate("Array.from(document.images).every((it) => it.naturalWidth > 0)")
        await tab.go(dashboard + EDGE, ready="document.getElementById('state').textContent === 'Live'")
        await tab.until("document.querySelector('#rates path').getAttribute('d').includes('L')")
        assert tab.errors == []
        assert tab.asked <= {dashboard.split("/")[2], ""}


@in_a_browser
@asynchronous
async def test_a_keyboard_and_a_screen_reader_are_enough(dashboard: str) -> None:
    async with chromium() as tab:
        await tab.open("light")
        await tab.go(dashboard, ready="document.getElementById('state').textContent === 'Live'")
        await tab.press("Tab", 9)
        assert await tab.evaluate("document.activeElement.textContent") == "Skip to the content"
        for _ in range(60):
            if await tab.evaluate("document.activeElement.textContent === 'calls/s'"):
                break
            await tab.press("Tab", 9)
        await tab.press("Enter", 13)
        assert await tab.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"
        nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        told = [(it["role"]["value"], it.get("name", {}).get("value", "")) for it in nodes if not it["ignored"]]
        assert {("table", "Edges"), ("heading", "Overview"), ("status", "Live")} <= {
            (role, name if role != "status" else "Live") for role, name in told
        }
        assert ("rowheader", "frontend → server") in told
        unnamed = {"table", "link", "button", "searchbox", "image", "navigation", "region"}
        assert [role for role, name in told if role in unnamed and not name] == []


@in_a_browser
@asynchronous
async def test_a_button_asks_for_the_token() -> None:
    async def undo() -> str:
        return "rollout undo: version v1"

    async with served(token="s3cret") as (shown, url, _), chromium() as tab:
        shown.running = [replace(shown_running(), actions={"undo": undo})]
        await tab.open("light")
        await tab.go(f"{url}/dashboard/rollout", ready="document.getElementById('state').textContent === 'Live'")
        press, told = (
            "document.querySelector('[data-action=undo]').click()",
            "document.querySelector('.actions output')",
        )
        await tab.evaluate(press)
        await tab.until(f"{told}.textContent.includes('not the token')")
        await tab.evaluate("document.querySelector('.actions input').focus()")
        await tab.type("s3cret")
        await tab.evaluate(press)
        await tab.until(f"{told}.textContent.includes('version v1')")


@in_a_browser
@asynchronous
async def test_a_thousand_edges_and_hostile_names() -> None:
    async with served() as (shown, url, _), chromium() as tab:
        shown.running = [many(1_000)]
        shown.hostile()
        await tab.open("light")
        await tab.go(f"{url}/dashboard/", ready="document.getElementById('state').textContent === 'Live'")
        rows = "Array.from(document.querySelectorAll('#edges tbody tr')).filter((it) => !it.hidden).length"
        assert await tab.evaluate(rows) == 1_002
        await tab.evaluate("document.querySelector('[data-table=edges]').focus()")
        await tab.type("client-77 server-2")
        await tab.until(f"{rows} === 11")
        assert await tab.evaluate("document.querySelector('output').textContent") == "11 of 1002"
        shown.traffic(1_000)
        await tab.until("document.querySelector('#refusing tbody').textContent.includes('firewall')")
        assert await tab.evaluate(rows) == 11, "what was looked for stays so"
        await tab.evaluate("document.activeElement.blur()")
        shown.running = [shown_running()]
        await tab.until("document.querySelector('svg.graph') !== null")
        shown.hostile()
        for page in ("", "records", "refusals"):
            await tab.go(f"{url}/dashboard/{page}", ready="document.getElementById('state').textContent === 'Live'")
            assert await tab.evaluate("document.body.textContent.includes('alert(1)')")
            assert await tab.evaluate("document.querySelectorAll('main script, main img, [onerror]').length") == 0
        assert tab.errors == []
