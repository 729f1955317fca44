"""All telemetry that comes to a control plane: where it is received, summed up, kept and sent on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client.metrics_core import Metric

from appnet.observe.forward import Collector, Forwarder
from appnet.observe.kept import Keep, Kept
from appnet.observe.metrics import chain_metrics, kept_metrics, record_metrics
from appnet.observe.receiver import OtlpReceiver
from appnet.observe.records_page import RecordsPage
from appnet.observe.refusals import RefusalStore
from appnet.observe.store import RecordStore
from appnet.observe.totals import Totals
from appnet.observe.totals_page import TotalsPage
from appnet.observe.traces_page import Arrivals, TracesPage


class Telemetry:
    """What comes to ``receiver``, for as long as this is entered as an async context manager.

    It is kept where ``keep`` says, and goes on to ``forward``, if there is one. Entering raises OSError where the
    receiver's address cannot be had, and `StoreError` where the kept file must not be touched.
    """

    def __init__(self, receiver: OtlpReceiver, keep: Keep, forward: Collector | None) -> None:
        self.receiver = receiver
        self.records, self.totals, self.refusals = RecordStore(), Totals(), RefusalStore()
        self.arrivals = Arrivals()
        self.kept = Kept(keep, self.records, self.totals)
        self.forwarder = None if forward is None else Forwarder(forward)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Telemetry:
        async with AsyncExitStack() as opening:
            if self.forwarder is not None:
                self.receiver.listen((await opening.enter_async_context(self.forwarder)).add)
            await opening.enter_async_context(self.kept)
            self.receiver.subscribe(self.records.add)
            self.receiver.subscribe(self.kept.add)
            self.receiver.count(self.totals.add)
            self.receiver.explain(self.refusals.add)
            self.receiver.trace(self.kept.add_span)
            self.receiver.trace(self.arrivals.add)
            await opening.enter_async_context(self.receiver)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def add_pages(self, application: web.Application) -> None:
        """Serves what ``appnetctl logs``, ``top`` and ``traces`` ask for."""
        RecordsPage(self.records, self.kept, self.forwarder).add_to(application)
        TotalsPage(self.totals, self.kept).add_to(application)
        TracesPage(self.kept, self.arrivals).add_to(application)

    def families(self) -> Iterator[Metric]:
        """What Prometheus reads of it."""
        yield record_metrics(self.records)
        yield from kept_metrics(self.kept, self.forwarder)
        yield from chain_metrics(self.totals)
