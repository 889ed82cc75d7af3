"""From what the API says to what a guest is given."""

from typing import Any

from deuteron.plug.guest import Address, guest


def _subnet(cidr: str, gateway: str | None, **values: Any) -> dict[str, Any]:
    return {"cidr": cidr, "gateway_ip": gateway, "host_routes": [], "dns_nameservers": [], **values}


SUBNETS = {
    "a": _subnet("10.0.0.0/24", "10.0.0.1", dns_nameservers=["192.0.2.53", "192.0.2.54"]),
    "b": _subnet(
        "10.1.0.0/16",
        "10.1.0.1",
        dns_nameservers=["192.0.2.53"],
        host_routes=[{"destination": "192.0.2.0/24", "nexthop": "10.1.0.9"}],
    ),
    "c": _subnet("2001:db8::/64", "2001:db8::1"),
    "d": _subnet("10.2.0.0/24", None, dns_nameservers=["0.0.0.0"]),
}


def _port(*fixed: tuple[str, str]) -> dict[str, Any]:
    ips = [{"subnet_id": subnet, "ip_address": address} for subnet, address in fixed]
    return {"id": "p", "mac_address": "fa:16:3e:00:00:01", "fixed_ips": ips}


def test_addresses_routes_and_nameservers_each_once_and_one_default_route_a_family() -> None:
    found = guest(
        _port(("a", "10.0.0.5"), ("b", "10.1.0.5"), ("c", "2001:db8::5"), ("b", "10.1.0.6")), SUBNETS, 1450
    )
    assert found.addresses == (
        Address(address="10.0.0.5/24", gateway="10.0.0.1"),
        Address(address="10.1.0.5/16", gateway="10.1.0.1"),
        Address(address="2001:db8::5/64", gateway="2001:db8::1"),
        Address(address="10.1.0.6/16", gateway="10.1.0.1"),
    )
    assert found.routes == (
        ("192.0.2.0/24", "10.1.0.9"),
        ("0.0.0.0/0", "10.0.0.1"),
        ("::/0", "2001:db8::1"),
    )
    assert found.nameservers == ("192.0.2.53", "192.0.2.54")
    assert (found.mac, found.mtu) == ("fa:16:3e:00:00:01", 1450)


def test_a_port_that_leads_nowhere() -> None:
    found = guest(_port(("d", "10.2.0.5")), SUBNETS, 1500)
    assert found.addresses == (Address(address="10.2.0.5/24"),)
    assert (found.routes, found.nameservers) == ((), ())
    assert guest(_port(), SUBNETS, 1500).addresses == ()
