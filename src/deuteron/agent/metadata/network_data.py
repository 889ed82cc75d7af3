"""How an instance is connected, in the form of OpenStack's network_data.json. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator

from deuteron.agent import names
from deuteron.plan.units import Instance, InstanceAddress

_NONE = {"0.0.0.0", "::"}
"""Name servers that mean: none."""
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}

Json = dict[str, object]


def network_data(ports: Iterable[Instance]) -> Json:
    """Return links, networks and services of the ports of one machine."""
    links: list[Json] = []
    networks: list[Json] = []
    services: list[Json] = []
    for port in ports:
        links.append(_link(port))
        for network in _networks(port):
            networks.append({"id": f"network{len(networks)}", **network})
        for one in port.addresses:
            services += [service for service in _services(one) if service not in services]
    return {"links": links, "networks": networks, "services": services}


def _link(port: Instance) -> Json:
    return {
        "id": names.tap(port.id),
        "vif_id": port.id,
        "type": "bridge",
        "mtu": port.mtu,
        "ethernet_mac_address": port.mac,
    }


def _networks(port: Instance) -> Iterator[Json]:
    by_dhcp = False
    for one in port.addresses:
        where: Json = {"link": names.tap(port.id), "network_id": port.network}
        address = ipaddress.ip_interface(one.address)
        if address.version == 4 and one.dhcp and not by_dhcp:
            by_dhcp = True  # DHCP gives a port one address
            yield {"type": "ipv4_dhcp", **where}
            continue
        mode = f"_{one.ipv6_address_mode}" if one.ipv6_address_mode else ""
        yield {
            "type": f"ipv{address.version}{mode}",
            **where,
            "ip_address": str(address.ip),
            "netmask": str(address.netmask),
            "routes": list(_routes(one, address.version)),
            "services": _services(one),
        }


def _routes(one: InstanceAddress, version: int) -> Iterator[Json]:
    default = [(_EVERYTHING[version], one.gateway_ip)] if one.gateway_ip else []
    for destination, gateway in (*default, *one.host_routes):
        network = ipaddress.ip_network(destination)
        yield {
            "network": str(network.network_address),
            "netmask": str(network.netmask),
            "gateway": gateway,
        }


def _services(one: InstanceAddress) -> list[Json]:
    return [{"type": "dns", "address": server} for server in one.dns_nameservers if server not in _NONE]
