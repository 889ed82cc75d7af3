"""What a guest must be given to use a port, from what the API says of the port."""

import ipaddress
from collections.abc import Mapping
from typing import Any

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address of a guest, with its prefix length, and the router of its subnet."""

    address: str
    gateway: str | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_interface(self.address).version


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """A guest of a port; `port` is the port's id."""

    port: str
    mac: str
    mtu: int
    addresses: tuple[Address, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    """(destination, next hop), default routes among them: at most one a family."""
    nameservers: tuple[str, ...] = ()


def guest(port: Mapping[str, Any], subnets: Mapping[str, Mapping[str, Any]], mtu: int) -> Guest:
    """Return the guest of a port, by the port and its subnets (by id) as the API shows them."""
    addresses, routes, nameservers = [], [], []
    defaults: dict[int, tuple[str, str]] = {}
    for fixed in port["fixed_ips"]:
        subnet = subnets[fixed["subnet_id"]]
        prefix = subnet["cidr"].rpartition("/")[2]
        one = Address(address=f"{fixed['ip_address']}/{prefix}", gateway=subnet["gateway_ip"])
        addresses.append(one)
        if one.gateway:
            everything = "0.0.0.0/0" if one.version == 4 else "::/0"
            defaults.setdefault(one.version, (everything, one.gateway))
        routes += [(route["destination"], route["nexthop"]) for route in subnet["host_routes"]]
        nameservers += [server for server in subnet["dns_nameservers"] if server not in ("0.0.0.0", "::")]
    return Guest(
        port=port["id"],
        mac=port["mac_address"],
        mtu=mtu,
        addresses=tuple(addresses),
        routes=tuple(dict.fromkeys([*routes, *defaults.values()])),
        nameservers=tuple(dict.fromkeys(nameservers)),
    )
