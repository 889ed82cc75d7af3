"""The operations of the API that are measured, each with calls enough for one client and for several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deuteron.bench.load import Client, Request

BULK = 100
"""Ports in one creation of many."""
LISTED_MS = {1_000: 50.0}
CALL_MS = 20.0


@dataclass(frozen=True)
class Operation:
    """Calls of one kind: the first half is for one client, the other for several at once."""

    name: str
    requests: Sequence[Request]
    limit: float | None = None
    """Milliseconds, of the median with one client."""


@dataclass(frozen=True)
class Cloud:
    """What stands before anything is measured."""

    network: str
    """Where single ports are created; holds those of the filled database."""
    external: str


def prepare(administrator: Client, client: Client, filled: int) -> Cloud:
    """Create the external network, and a network of the client's with so many ports."""
    external = administrator.create(
        "network",
        name="external",
        **{"router:external": True, "provider:network_type": "flat", "provider:physical_network": "external"},
    )
    administrator.create(
        "subnet", network_id=external["id"], ip_version=4, cidr="198.18.0.0/15", enable_dhcp=False
    )
    network = _network(client, "10.0.0.0/8")
    _fill(client, network, filled)
    return Cloud(network, external["id"])


def new_port(cloud: Cloud) -> Request:
    """Return the creation of one port."""
    return Request.of("POST", "/v2.0/ports", {"port": {"network_id": cloud.network, "name": "bench"}})


def operations(
    client: Client, cloud: Cloud, calls: int, bulks: int, listed: Sequence[int]
) -> Iterator[Operation]:
    """Yield all others; each must have been carried out before the next one is asked for."""
    network = _network(client, "10.0.0.0/8")
    yield Operation(f"{BULK} ports in one create", [_bulk(network)] * 2 * bulks, 200)
    for size in listed:
        network = _network(client, "10.0.0.0/8")
        _fill(client, network, size)
        path = f"/v2.0/ports?network_id={network}"
        yield Operation(f"list of {size:,} ports", [Request("GET", path)] * calls, LISTED_MS.get(size))
    yield from _ports(client, cloud, calls)
    yield from _routers(client, cloud, calls)


def _ports(client: Client, cloud: Cloud, calls: int) -> Iterator[Operation]:
    ports = [client.create("port", network_id=cloud.network)["id"] for _ in range(2 * calls)]
    paths = [f"/v2.0/ports/{port}" for port in ports]
    yield Operation("port show", [Request("GET", path) for path in paths])
    named = [{"port": {"name": f"bench-{number}"}} for number in range(len(paths))]
    yield Operation("port update, name", _puts(paths, named))
    groups = [client.create("security_group", name="bench")["id"] for _ in range(2)]
    secured = {"port": {"security_groups": groups}}
    yield Operation("port update, security groups", _puts(paths, [secured] * len(paths)))


def _routers(client: Client, cloud: Cloud, calls: int) -> Iterator[Operation]:
    new = Request.of("POST", "/v2.0/routers", {"router": {"name": "bench"}})
    yield Operation("router create", [new] * 2 * calls, CALL_MS)
    routers = [router["id"] for router in client.call("GET", "/v2.0/routers?name=bench&fields=id")["routers"]]
    networks = [_network(client, "10.0.0.0/16") for _ in routers]
    subnets = [client.call("GET", f"/v2.0/networks/{one}")["network"]["subnets"][0] for one in networks]
    paths = [f"/v2.0/routers/{router}/add_router_interface" for router in routers]
    yield Operation("router add interface", _puts(paths, [{"subnet_id": one} for one in subnets]), CALL_MS)
    gateway = {"external_gateway_info": {"network_id": cloud.external}}
    client.call("PUT", f"/v2.0/routers/{routers[0]}", {"router": gateway})
    ports = [client.create("port", network_id=networks[0])["id"] for _ in range(2 * calls)]
    floating = [{"floating_network_id": cloud.external, "port_id": port} for port in ports]
    yield Operation(
        "floating IP create",
        [Request.of("POST", "/v2.0/floatingips", {"floatingip": content}) for content in floating],
    )


def _puts(paths: Sequence[str], contents: Sequence[Any]) -> list[Request]:
    return [Request.of("PUT", path, content) for path, content in zip(paths, contents, strict=True)]


def _network(client: Client, cidr: str) -> str:
    network = client.create("network", name="bench")
    client.create("subnet", network_id=network["id"], ip_version=4, cidr=cidr)
    return str(network["id"])


def _bulk(network: str, count: int = BULK) -> Request:
    return Request.of("POST", "/v2.0/ports", {"ports": [{"network_id": network, "name": "bench"}] * count})


def _fill(client: Client, network: str, ports: int) -> None:
    for begin in range(0, ports, BULK):
        client.send(_bulk(network, min(BULK, ports - begin)))
