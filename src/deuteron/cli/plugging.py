"""What plugging a port asks of the server, for the verbs and for containers."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from deuteron.agent.system.errors import SystemCommandError
from deuteron.cli.client import Failed, Refused, ask
from deuteron.plug import wire
from deuteron.plug.guest import Guest, guest
from deuteron.plug.wire import CannotPlug

OWNER = "compute:deuteron"
"""The device owner of ports that are plugged by the command."""
ACTIVE_SECONDS = 30.0
POLL_SECONDS = 0.05

Json = dict[str, Any]


class Place(NamedTuple):
    """Where a port is plugged: on which host, and for what."""

    host: str
    device_id: str
    owner: str = OWNER


def plug(endpoint: str, port: Json, place: Place, connect: Callable[[Guest], None]) -> Guest:
    """Bind a port, have it connected and wait until it is up; take all of it back if that fails.

    Raises Failed.
    """
    _check_free(port, place)
    with ExitStack() as undo:
        bound = _bind(endpoint, port["id"], place)
        undo.callback(release, endpoint, port)
        found = described(endpoint, bound)
        try:
            connect(found)
        except CannotPlug as error:
            raise Failed(f"port {port['id']}: {error}") from None
        undo.callback(wire.disconnect, port["id"])
        _wait_active(endpoint, port["id"], place.host)
        undo.pop_all()
    return found


def unplug(endpoint: str, port: Json, host: str) -> None:
    """Take the device away and release the port. Raises Failed."""
    if port["binding:host_id"] not in ("", host):
        raise Failed(f"port {port['id']} is plugged on host {port['binding:host_id']}: unplug it there")
    disconnect(port["id"])
    if port["device_owner"] == OWNER:
        release(endpoint, port)


def disconnect(port_id: str) -> None:
    """Take a port's device away. Raises Failed."""
    try:
        wire.disconnect(port_id)
    except SystemCommandError as error:
        raise Failed(str(error)) from None


def release(endpoint: str, port: Json) -> None:
    """Unbind a port; one that is gone is fine. Raises Failed."""
    nothing = {"binding:host_id": "", "device_id": "", "device_owner": ""}
    try:
        ask(endpoint, "PUT", f"/v2.0/ports/{port['id']}", {"port": nothing})
    except Refused as error:
        if error.status != 404:
            raise


def described(endpoint: str, port: Json) -> Guest:
    """Return the guest of a port. Raises Failed."""
    ids = {fixed["subnet_id"] for fixed in port["fixed_ips"]}
    subnets = {id_: ask(endpoint, "GET", f"/v2.0/subnets/{id_}")["subnet"] for id_ in sorted(ids)}
    network = ask(endpoint, "GET", f"/v2.0/networks/{port['network_id']}")["network"]
    return guest(port, subnets, network["mtu"])


def _check_free(port: Json, place: Place) -> None:
    host, user = port["binding:host_id"], port["device_id"]
    if user and user != place.device_id:
        raise Failed(f"port {port['id']} is in use by device {user}" + (f" on host {host}" if host else ""))
    if host not in ("", place.host):
        raise Failed(f"port {port['id']} is bound to host {host}")


def _bind(endpoint: str, port_id: str, place: Place) -> Json:
    wanted = {"binding:host_id": place.host, "device_id": place.device_id, "device_owner": place.owner}
    bound: Json = ask(endpoint, "PUT", f"/v2.0/ports/{port_id}", {"port": wanted})["port"]
    return bound


def _wait_active(endpoint: str, port_id: str, host: str) -> None:
    until = time.monotonic() + ACTIVE_SECONDS
    while ask(endpoint, "GET", f"/v2.0/ports/{port_id}")["port"]["status"] != "ACTIVE":
        if time.monotonic() > until:
            raise Failed(
                f"port {port_id} is not up after {ACTIVE_SECONDS:.0f} s: is {host} this host's name to the"
                " agent, and does the agent run (deuteron status)?"
            )
        time.sleep(POLL_SECONDS)
