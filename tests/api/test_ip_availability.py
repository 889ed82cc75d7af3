"""How many addresses networks have, and how many are used."""

from typing import Any

from tests.api.conftest import Client

PATH = "/network-ip-availabilities"


def _listed(api: Client, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"{PATH}{query}")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.body["network_ip_availabilities"]
    return found


def test_addresses_are_counted_by_network_and_subnet(api: Client) -> None:
    network = api.make("network", name="n", project_id="p")["id"]
    empty = api.make("network", name="e")["id"]
    four = api.make("subnet", network_id=network, name="four", ip_version=4, cidr="10.0.0.0/24")["id"]
    api.make("subnet", network_id=network, ip_version=6, cidr="2001:db8::/48", gateway_ip=None)
    for _ in range(3):
        api.make("port", network_id=network)
    shown = api.get(f"{PATH}/{network}").body["network_ip_availability"]
    assert (shown["network_id"], shown["network_name"], shown["project_id"]) == (network, "n", "p")
    assert shown["tenant_id"] == "p"
    assert shown["used_ips"] == 6
    assert shown["total_ips"] == 253 + 2**80 - 1
    assert shown["subnet_ip_availability"][0] == {
        "subnet_id": four,
        "subnet_name": "four",
        "ip_version": 4,
        "cidr": "10.0.0.0/24",
        "total_ips": 253,
        "used_ips": 3,
    }
    assert "ip_version" not in shown
    assert api.get(f"{PATH}/{empty}").body["network_ip_availability"]["total_ips"] == 0
    assert api.get(f"{PATH}/{four}").error == "NetworkNotFound"


def test_lists_are_filtered(api: Client) -> None:
    both, six, none = (api.make("network", name=name)["id"] for name in ("both", "six", "none"))
    api.make("subnet", network_id=both, ip_version=4, cidr="10.0.0.0/24")
    for network in (both, six):
        api.make("subnet", network_id=network, ip_version=6, cidr="2001:db8::/64")
    assert {one["network_id"] for one in _listed(api)} == {both, six, none}
    assert [one["network_id"] for one in _listed(api, "?network_name=six")] == [six]
    assert [one["network_id"] for one in _listed(api, f"?network_id={none}")] == [none]
    (four,) = _listed(api, "?ip_version=4")
    assert (four["network_id"], four["total_ips"], len(four["subnet_ip_availability"])) == (both, 253, 1)
    assert {one["network_id"] for one in _listed(api, "?ip_version=6")} == {both, six}
    assert api.get(f"{PATH}?ip_version=x").status == 400
    assert api.post(PATH, {"network_ip_availability": {}}).status == 405
