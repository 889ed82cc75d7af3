"""Ports by which the distributed parts of a router reach its central part: one on each of its networks.

They are there while the router has distributed parts and a gateway, with an address of their own in each
subnet that the router is on, and come and go by themselves.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from deuteron.resources import owners, port
from deuteron.resources.call import Call
from deuteron.resources.distribution import has_parts
from deuteron.resources.errors import BadRequest
from deuteron.resources.resource import Extension, Item

_OWN = frozenset({owners.ROUTER_SNAT, owners.AGENT_GATEWAY})


def settle(call: Call, row: Item) -> None:
    """Make a router's ports of this kind what its interfaces, its gateway and its rung ask for."""
    wanted = _wanted(call, row)
    present = {one["network_id"]: one for one in port.of_device(call, row["id"], (owners.ROUTER_SNAT,))}
    for network_id in present.keys() - wanted.keys():
        port.remove(call, present[network_id])
    for network_id, subnet_ids in sorted(wanted.items()):
        found = present.get(network_id)
        kept = [one for one in found["fixed_ips"] if one["subnet_id"] in subnet_ids] if found else []
        new = subnet_ids - {one["subnet_id"] for one in kept}
        fixed = [*kept, *({"subnet_id": id_} for id_ in sorted(new))]
        if found is None:
            _add(call, row["id"], network_id, fixed)
        elif new or len(kept) != len(found["fixed_ips"]):
            port.update(call, found, {"fixed_ips": fixed})


def _wanted(call: Call, row: Item) -> dict[str, set[str]]:
    """Return the subnets of a router's interfaces, by network."""
    found: dict[str, set[str]] = defaultdict(set)
    if has_parts(row["rung"]) and row["gw_port_id"]:
        for one in port.of_device(call, row["id"], tuple(owners.ROUTER_INTERFACES)):
            found[one["network_id"]] |= {fixed["subnet_id"] for fixed in one["fixed_ips"]}
    return found


def _add(call: Call, router_id: str, network_id: str, fixed: list[Mapping[str, str]]) -> None:
    values = {
        "project_id": "",
        "network_id": network_id,
        "fixed_ips": fixed,
        "device_id": router_id,
        "device_owner": owners.ROUTER_SNAT,
    }
    port.add(call, values)


def _created_port(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    _refuse_owner(row["device_owner"])


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:  # noqa: ARG001
    if changes.get("device_owner", row["device_owner"]) != row["device_owner"]:
        _refuse_owner(changes["device_owner"])
    if row["device_owner"] in _OWN and (what := sorted(changes.keys() - {"name", "description"})):
        message = f"{', '.join(what)} of a port with device_owner {row['device_owner']} cannot be changed"
        raise BadRequest(resource="port", msg=message)


def _refuse_owner(owner: str) -> None:
    """Raise BadRequest if somebody else makes a port that seems to be a distributed router's."""
    if owner in _OWN:
        raise BadRequest(resource="port", msg=f"device_owner {owner} is for ports that Deuteron makes itself")


DECLARES = (
    Extension(
        resource="port",
        name="distributed_routers",
        created=_created_port,
        updating=_updating_port,
    ),
)
