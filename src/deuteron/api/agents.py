"""What agents speak: a stream of their host's plan, and their reports.

    GET  /agent/v1/hosts/HOST/plan?since=REVISION   NDJSON of deuteron.plan.units.Message; it never ends
    POST /agent/v1/hosts/HOST/report                deuteron.plan.units.Report -> 204

A stream is a coroutine that waits; no thread belongs to it. After one second of silence it says that it is
still there.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from deuteron.api import codec
from deuteron.api.services import Services
from deuteron.placement.reports import Reports
from deuteron.plan.hub import Hub, line
from deuteron.plan.units import InSync, Keepalive, Report
from deuteron.resources.errors import HTTPBadRequest
from deuteron.resources.hosts import NAME_LENGTH
from deuteron.resources.types import line as text_line

KEEPALIVE_SECONDS = 1.0
STOP_POLL_SECONDS = 0.1
NDJSON = "application/x-ndjson"

_host_name = text_line(NAME_LENGTH)
_report = msgspec.json.Decoder(Report)


def routes(services: Services) -> list[Route]:
    """Return the agents' routes."""
    endpoint = _Endpoint(services)
    return [
        Route("/agent/v1/hosts/{host}/plan", endpoint.plan, methods=["GET"]),
        Route("/agent/v1/hosts/{host}/report", endpoint.report, methods=["POST"]),
    ]


class _Endpoint:
    """The handlers, and the hub, which begins with the first agent that asks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._starting = asyncio.Lock()
        self._hub: Hub | None = None
        self._reports: Reports | None = None
        self._wakes: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def plan(self, request: Request) -> Response:
        """Stream the plan of a host from a revision on."""
        host = _host(request)
        hub, _ = await self._started()
        since = request.query_params.get("since", "")
        return StreamingResponse(
            self._lines(hub, host, since), media_type=NDJSON, headers={"Cache-Control": "no-store"}
        )

    async def report(self, request: Request) -> Response:
        """Take a report."""
        host = _host(request)
        raw = await codec.raw(request, self._services.settings.max_request_body_size)
        try:
            report = _report.decode(raw)
        except (msgspec.MsgspecError, ValueError) as error:
            raise HTTPBadRequest(msg=f"not a report: {error}") from None
        _, reports = await self._started()
        await run_in_threadpool(reports.take, host, report)
        return Response(status_code=204)

    async def _lines(self, hub: Hub, host: str, revision: str) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        more = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(more.set)

        await run_in_threadpool(hub.listen, host, wake)
        self._wakes.add(more)
        try:
            if hub.since(host, revision) is None:
                yield line(InSync(revision))
            while not self._services.stopping.is_set():
                batch = hub.since(host, revision)
                if batch is not None:
                    revision = batch.revision
                    yield batch.lines
                    continue
                try:
                    await asyncio.wait_for(more.wait(), KEEPALIVE_SECONDS)
                    more.clear()
                except TimeoutError:
                    yield line(Keepalive())
        finally:
            self._wakes.discard(more)
            hub.unlisten(host, wake)

    async def _started(self) -> tuple[Hub, Reports]:
        async with self._starting:
            if self._hub is None or self._reports is None:
                services = self._services
                hub = await run_in_threadpool(
                    Hub, services.db, services.settings.dns_domain, services.stopping
                )
                hub.start()
                self._hub = hub
                settings = services.settings
                self._reports = Reports(
                    services.db,
                    hub,
                    settings.agent_down_time,
                    settings.dvr_base_mac,
                    tell_nova=settings.notify_nova_on_port_status_changes,
                )
                self._tasks.add(asyncio.create_task(self._end_streams()))
            return self._hub, self._reports

    async def _end_streams(self) -> None:
        """Wake all streams when the server stops, so that none of them delays it."""
        while not self._services.stopping.is_set():
            await asyncio.sleep(STOP_POLL_SECONDS)
        for more in self._wakes:
            more.set()


def _host(request: Request) -> str:
    try:
        name: str = _host_name.convert(request.path_params["host"])
    except ValueError as error:
        raise HTTPBadRequest(msg=f"host: {error}") from None
    return name
