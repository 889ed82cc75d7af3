"""What Neutron has no words for: moving routers, their history, instances' metadata, the state of the whole.

Each function here answers one request; `OPERATIONS` says which one. GET /v1/openapi.json describes them all.
"""

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron.api import openapi
from deuteron.api.answers import (
    ConversionAnswer,
    ConversionsAnswer,
    HistoryAnswer,
    InstanceAnswer,
    MoveAnswer,
    MovesAnswer,
)
from deuteron.api.codec import JSON, encode
from deuteron.api.events import Followers, list_events
from deuteron.api.operation import Operation, endpoint
from deuteron.api.services import Services
from deuteron.api.v2 import merged
from deuteron.insight import audit, checkup, floating, heartbeat, status
from deuteron.insight.happened import Event
from deuteron.placement import drains, planned, rebalance
from deuteron.resources import instances, metering_counts
from deuteron.resources.call import Call
from deuteron.resources.conversion import Mode


class MoveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a router is to be active."""

    host: str


def move_router(call: Call, router_id: str, body: MoveRequest) -> MoveAnswer:
    """Begin to move a router to a host."""
    return msgspec.convert({"move": planned.move(call, router_id, body.host)}, MoveAnswer)


class ConvertRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a router is to become, and whether only to say how."""

    mode: Mode
    dry_run: bool = False


def convert_router(call: Call, router_id: str, body: ConvertRequest) -> ConversionAnswer:
    """Begin to make a router redundant or plain, distributed or central, while it is up."""
    found = planned.convert(call, router_id, body.mode, dry_run=body.dry_run)
    return msgspec.convert({"conversion": found}, ConversionAnswer)


def list_conversions(call: Call, router_id: str) -> ConversionsAnswer:
    """List a router's conversions, the newest first."""
    return msgspec.convert({"conversions": planned.conversions_of(call, router_id)}, ConversionsAnswer)


def list_moves(call: Call, router_id: str) -> MovesAnswer:
    """List a router's moves, the newest first."""
    return msgspec.convert({"moves": planned.moves_of(call, router_id)}, MovesAnswer)


def show_history(call: Call, router_id: str) -> HistoryAnswer:
    """List who was active for a router, from when on and why, the newest first."""
    return msgspec.convert({"history": planned.history_of(call, router_id)}, HistoryAnswer)


def show_heartbeat(call: Call, router_id: str) -> heartbeat.HeartbeatAnswer:
    """Show where the heartbeat of a router travels, and what it shares its fate with."""
    return heartbeat.of_router(call, router_id)


def show_location(call: Call, floatingip_id: str) -> floating.Location:
    """Show where a floating IP is served, and why there."""
    return floating.of_floating_ip(call, floatingip_id)


def put_instance(call: Call, device_id: str, body: instances.Instance) -> InstanceAnswer:
    """Say what metadata tells an instance."""
    return msgspec.convert({"instance": instances.put(call, device_id, body)}, InstanceAnswer)


def show_instance(call: Call, device_id: str) -> InstanceAnswer:
    """Show what metadata tells an instance."""
    return msgspec.convert({"instance": instances.get(call, device_id)}, InstanceAnswer)


def delete_instance(call: Call, device_id: str) -> None:
    """Forget what metadata tells an instance."""
    instances.delete(call, device_id)


def show_status(call: Call) -> status.Status:
    """Show hosts, elections, where routers are active, and what is wrong."""
    return status.of_all(call)


def list_metering(call: Call) -> metering_counts.Metering:
    """List what routers have counted under each metering label."""
    return metering_counts.listing(call)


class Hosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of hosts."""

    host: list[str]


def ok_to_stop(call: Call, query: Hosts) -> audit.Audit:
    """Show what breaks, fails over or loses redundancy when hosts stop."""
    return audit.of_hosts(call, query.host)


class RebalanceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many moves there may be, and whether to make them."""

    max_moves: Annotated[int, msgspec.Meta(ge=0)] | None = None
    dry_run: bool = False


def drain_host(call: Call, host: str) -> drains.Drain:
    """Begin to empty a host, and keep it so."""
    return drains.begin(call, host)


def undrain_host(call: Call, host: str) -> drains.Drain:
    """Let a host be used again."""
    return drains.end(call, host)


def show_drain(call: Call, host: str) -> drains.Drain:
    """Show what is left on a host that is emptied, and whether it is safe to power off."""
    return drains.shown(call, host)


def rebalance_routers(call: Call, body: RebalanceRequest) -> rebalance.Rebalance:
    """Begin to spread active routers equally over the hosts."""
    return rebalance.ask(call, body.max_moves, dry_run=body.dry_run)


def show_rebalance(call: Call) -> rebalance.Rebalance:
    """Show the last rebalance: what was moved, and what is planned."""
    return rebalance.shown(call)


def check_up(call: Call) -> checkup.Checkup:
    """Check the settings and the whole; say how to mend what is wrong."""
    return checkup.of_all(call)


OPERATIONS = (
    Operation("POST", "/v1/hosts/{host}/drain", drain_host, writes=True, status=202),
    Operation("POST", "/v1/hosts/{host}/undrain", undrain_host, writes=True),
    Operation("GET", "/v1/hosts/{host}/drain", show_drain),
    Operation("POST", "/v1/rebalance", rebalance_routers, writes=True, status=202),
    Operation("GET", "/v1/rebalance", show_rebalance),
    Operation("POST", "/v1/routers/{router_id}/move", move_router, writes=True, status=202),
    Operation("GET", "/v1/routers/{router_id}/moves", list_moves),
    Operation("POST", "/v1/routers/{router_id}/convert", convert_router, writes=True, status=202),
    Operation("GET", "/v1/routers/{router_id}/conversions", list_conversions),
    Operation("GET", "/v1/routers/{router_id}/history", show_history),
    Operation("GET", "/v1/routers/{router_id}/heartbeat", show_heartbeat),
    Operation("GET", "/v1/floatingips/{floatingip_id}/location", show_location),
    Operation("PUT", "/v1/instances/{device_id}", put_instance, writes=True),
    Operation("GET", "/v1/instances/{device_id}", show_instance),
    Operation("DELETE", "/v1/instances/{device_id}", delete_instance, writes=True),
    Operation("GET", "/v1/metering", list_metering),
    Operation("GET", "/v1/status", show_status),
    Operation("GET", "/v1/ok-to-stop", ok_to_stop),
    Operation("GET", "/v1/check", check_up),
    Operation("GET", "/v1/events", list_events, line=Event),
)


def routes(services: Services) -> list[Route]:
    """Return the routes below /v1."""
    described = encode(openapi.document(OPERATIONS))

    async def describe(request: Request) -> Response:  # noqa: ARG001
        return Response(described, media_type=JSON)

    follow = {list_events: Followers(services).lines}
    found = [
        Route(one.path, endpoint(services, one, follow.get(one.does)), methods=[one.method])
        for one in OPERATIONS
    ]
    return merged([*found, Route("/v1/openapi.json", describe, methods=["GET"])])
