"""Which fixed IPs a port has: what was asked for, checked; what was not, chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

from deuteron.resources import addresses, ipam, rows, service_types, subnet, subnet_segment
from deuteron.resources.addresses import parse_address, parse_network
from deuteron.resources.attribute import UNSET
from deuteron.resources.call import Call
from deuteron.resources.errors import InvalidInput
from deuteron.resources.l2_errors import (
    AllocationOnAutoAddressSubnet,
    InvalidIpForNetwork,
    InvalidIpForSubnet,
    IpAddressAlreadyAllocated,
    IpAddressGenerationFailure,
)
from deuteron.resources.owners import ROUTER_INSIDE, ROUTER_PORTS
from deuteron.resources.resource import Item
from deuteron.resources.service_types import IpAddressGenerationFailureNoMatchingSubnet

FixedIp = dict[str, str]
"""`subnet_id` and `ip_address`; when asked for, one of them may be absent."""


IMMEDIATE, DEFERRED, NONE = "immediate", "deferred", "none"
"""When a port gets its addresses: with its creation, when it is bound to a host, or not at all."""


def allocation(call: Call, port: Item, wanted: Any) -> str:
    """Return when a new port gets its addresses."""
    if wanted is not UNSET:
        return IMMEDIATE if wanted else NONE
    if port["binding:host_id"] or port["device_owner"] in ROUTER_PORTS:
        return IMMEDIATE
    return DEFERRED if subnet_segment.is_routed(_subnets(call, port)) else IMMEDIATE


def _subnets(call: Call, port: Item) -> list[Item]:
    home = port["network_id"]
    found: list[Item] = call.tx.once("subnet", home, lambda: subnet.of_network(call, home))
    return found


def follow_host(call: Call, port: Item, present: Sequence[FixedIp], is_new: bool) -> list[FixedIp]:
    """Return the addresses of a port that goes to another host: if that is its first one, those deferred."""
    if is_new and not present and port["ip_allocation"] == DEFERRED:
        return assign(call, port, UNSET)
    subnet_segment.check_host(call, port, _subnets(call, port), present)
    return [*present]


def assign(call: Call, port: Item, wanted: Any) -> list[FixedIp]:
    """Give a new port its addresses: those wanted, or with UNSET one of each family."""
    home, of_home = port["network_id"], _subnets(call, port)
    if port["ip_allocation"] == DEFERRED and not port["binding:host_id"]:
        return []
    of_home = subnet_segment.usable(call, port, of_home, [] if wanted is UNSET else wanted)
    subnets = service_types.serving(of_home, port["device_owner"])
    if of_home and not subnets and (wanted is UNSET or wanted):
        raise IpAddressGenerationFailureNoMatchingSubnet(network_id=home, service_type=port["device_owner"])
    given: list[FixedIp] = []
    if wanted is UNSET:
        stateful = [one for one in subnets if not subnet.is_auto_address(one)]
        for version in (4, 6):
            family = [one for one in stateful if one["ip_version"] == version]
            if family:
                given.append(_take_any(call, port, family, len(given)))
    else:
        _check_count(call, port, wanted)
        for fixed in _in_subnets(call, port, subnets, wanted):
            given.append(_take(call, port, subnets, fixed, len(given)))
    return given + _take_automatic(call, port, subnets, given)


def reassign(call: Call, port: Item, present: Sequence[FixedIp], wanted: Sequence[FixedIp]) -> list[FixedIp]:
    """Give a port other addresses: those that it has and that are wanted stay.

    Addresses that the port's host makes itself (SLAAC) stay too, unless the MAC has changed.
    """
    _check_count(call, port, wanted)
    subnets = subnet.of_network(call, port["network_id"])
    subnets = subnet_segment.usable(call, port, subnets, wanted) if wanted else subnets
    asked = _in_subnets(call, port, subnets, wanted)
    kept, missing = _match(present, asked)
    serving = service_types.serving(subnets, port["device_owner"])
    for fixed in missing:
        if all(one["id"] != fixed["subnet_id"] for one in serving):
            raise _invalid_subnet(port, fixed)
    automatic = _automatic(port, subnets)
    dropped = [fixed for fixed in present if fixed not in kept and fixed not in automatic]
    kept += [fixed for fixed in present if fixed not in kept and fixed not in dropped]
    ipam.give_back(call, port["id"], dropped)
    for fixed in missing:
        kept.append(_take(call, port, subnets, fixed, len(kept)))
    kept += _take_automatic(call, port, serving, kept)
    ipam.reorder(call.tx, port["id"], kept)
    return kept


def _match(present: Sequence[FixedIp], asked: Sequence[FixedIp]) -> tuple[list[FixedIp], list[FixedIp]]:
    """Return what stays of the present ones, and what of the asked ones is still missing."""
    kept = [fixed for fixed in present if fixed in asked]
    rest = [fixed for fixed in present if fixed not in kept]
    missing = []
    for fixed in asked:
        if "ip_address" in fixed:
            if fixed not in kept:
                missing.append(fixed)
            continue
        same = next((one for one in rest if one["subnet_id"] == fixed["subnet_id"]), None)
        if same is None:
            missing.append(fixed)
        else:
            rest.remove(same)
            kept.append(same)
    return kept, missing


def _check_count(call: Call, port: Item, wanted: Sequence[FixedIp]) -> None:
    most = call.settings.max_fixed_ips_per_port
    if len(wanted) > most and port["device_owner"] not in ROUTER_PORTS:
        raise InvalidInput(error_message=f"Exceeded maximum amount of fixed ips per port ({most})")


def _in_subnets(call: Call, port: Item, subnets: Sequence[Item], wanted: Sequence[FixedIp]) -> list[FixedIp]:
    """Return what is wanted with its subnet. Automatic addresses come by themselves."""
    result = []
    for fixed in wanted:
        home = _home(call, port, subnets, fixed)
        automatic = subnet.is_auto_address(home) and port["device_owner"] not in ROUTER_INSIDE
        if "ip_address" in fixed:
            own = addresses.eui64(parse_network(home["cidr"]), port["mac_address"]) if automatic else None
            if own is not None and own != fixed["ip_address"]:
                raise AllocationOnAutoAddressSubnet(ip=fixed["ip_address"], subnet_id=home["id"])
        if not automatic:
            result.append({"subnet_id": home["id"], **fixed})
    return result


def _home(call: Call, port: Item, subnets: Sequence[Item], fixed: FixedIp) -> Item:
    if not subnets:
        raise InvalidInput(error_message="IP allocation requires subnets for network")
    address = parse_address(fixed["ip_address"]) if "ip_address" in fixed else None
    router_port = port["device_owner"] in ROUTER_PORTS or not port["device_owner"]
    if "subnet_id" not in fixed:
        for one in subnets:
            if address and addresses.assignable(parse_network(one["cidr"]), address, router_port):
                return one
        raise InvalidIpForNetwork(ip_address=fixed["ip_address"])
    home = next((one for one in subnets if one["id"] == fixed["subnet_id"]), None)
    if home is None:
        rows.get(call, subnet.resource, fixed["subnet_id"])
        raise _invalid_subnet(port, fixed)
    if address and not addresses.assignable(parse_network(home["cidr"]), address, router_port):
        raise InvalidIpForSubnet(ip_address=fixed["ip_address"])
    return home


def _invalid_subnet(port: Item, fixed: FixedIp) -> InvalidInput:
    return InvalidInput(
        error_message=f"Failed to create port on network {port['network_id']}, because fixed_ips "
        f"included invalid subnet {fixed['subnet_id']}"
    )


def _take(call: Call, port: Item, subnets: Sequence[Item], fixed: FixedIp, position: int) -> FixedIp:
    home = next(one for one in subnets if one["id"] == fixed["subnet_id"])
    if "ip_address" not in fixed:
        return _take_any(call, port, [home], position)
    if not ipam.take(call.tx, home["id"], fixed["ip_address"], port["id"], position):
        raise IpAddressAlreadyAllocated(ip=fixed["ip_address"], subnet_id=home["id"])
    return fixed


def _take_any(call: Call, port: Item, subnets: Sequence[Item], position: int) -> FixedIp:
    for one in subnets:
        address = ipam.take_free(call.tx, one, port["id"], position)
        if address is not None:
            return {"subnet_id": one["id"], "ip_address": address}
    raise IpAddressGenerationFailure(net_id=port["network_id"])


def _automatic(port: Mapping[str, Any], subnets: Sequence[Item]) -> list[FixedIp]:
    """Return the addresses that the port's host makes itself."""
    if port["device_owner"] in ROUTER_INSIDE:
        return []
    return [
        {
            "subnet_id": one["id"],
            "ip_address": addresses.eui64(parse_network(one["cidr"]), port["mac_address"]),
        }
        for one in subnets
        if subnet.is_auto_address(one)
    ]


def _take_automatic(
    call: Call, port: Item, subnets: Sequence[Item], given: Sequence[FixedIp]
) -> list[FixedIp]:
    new = [fixed for fixed in _automatic(port, subnets) if fixed not in given]
    return [
        _take(call, port, subnets, fixed, position) for position, fixed in enumerate(new, start=len(given))
    ]
