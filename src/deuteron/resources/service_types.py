"""Service types of subnets: whose ports get addresses of them, by the ports' `device_owner`.

A subnet without any serves all ports, those that another serves by its type only in the second place.
"""

from collections.abc import Sequence
from typing import Any

from deuteron.resources import owners
from deuteron.resources.attribute import Type
from deuteron.resources.errors import InvalidInput
from deuteron.resources.l2_errors import IpAddressGenerationFailure
from deuteron.resources.resource import Alias, Item
from deuteron.resources.types import NAME_LENGTH, line, list_of, shown


class InvalidSubnetServiceType(InvalidInput):
    """`service_type`."""

    message = "Subnet service type {service_type} does not correspond to a valid device owner."


class InvalidInputSubnetServiceType(InvalidInput):
    """`service_type`."""

    message = "Subnet service type {service_type} is not a string."


class IpAddressGenerationFailureNoMatchingSubnet(IpAddressGenerationFailure):
    """`network_id`, `service_type`."""

    message = (
        "No valid service subnet for the given device owner, network {network_id}, "
        "service type {service_type}."
    )


def serving(subnets: Sequence[Item], device_owner: str) -> list[Item]:
    """Return the subnets that serve ports of this owner: first those that are for them."""
    mine = [one for one in subnets if serves(one, device_owner)]
    return sorted(mine, key=lambda one: not one["service_types"])


def serves(subnet: Item, device_owner: str) -> bool:
    """Whether ports of this owner get addresses of a subnet."""
    types = subnet["service_types"]
    if not types or (device_owner == owners.DHCP and subnet["enable_dhcp"]):
        return True
    interface = device_owner in owners.ROUTER_INSIDE
    return device_owner in types or (interface and owners.ROUTER_INTERFACE in types)


def _type(value: Any) -> str:
    """Whoever has ports of his own kind, as `trunk:subport`, may give them subnets of their own."""
    if not isinstance(value, str):
        raise InvalidInputSubnetServiceType(service_type=shown(value))
    if ":" not in value[1:]:
        raise InvalidSubnetServiceType(service_type=shown(value))
    named: str = line(NAME_LENGTH).convert(value)
    return named


TYPES: Type = list_of(_type, what="service type")

DECLARES = (
    Alias(
        alias="subnet-service-types",
        name="Subnet service types",
        description="Whose ports get addresses of a subnet",
    ),
)
