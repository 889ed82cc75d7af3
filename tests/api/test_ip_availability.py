"""How many addresses networks have, and how many are used."""

from typing import Any

from tests.api.conftest import Client

PATH = "/network-ip-availabilities"
DETAILS = "ip_availability_details"


def _listed(api: Client, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"{PATH}{query}")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.body["network_ip_availabilities"]
    return found


def _details(*numbers: int) -> dict[str, int]:
    """Of all the subnet and of its pools: how many there are; how many are used of each."""
    names = [
        f"{what}_ips_in_{where}" for what in ("total", "used") for where in ("subnet", "allocation_pool")
    ]
    return dict(zip(names, numbers, strict=True))


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
        DETAILS: _details(254, 253, 3, 3),
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


def test_whole_subnets_and_their_pools_are_counted_apart(api: Client) -> None:
    network = api.make("network")["id"]
    pools = [{"start": "10.0.0.10", "end": "10.0.0.19"}, {"start": "10.0.0.30", "end": "10.0.0.30"}]
    four = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24", allocation_pools=pools)
    six = api.make("subnet", network_id=network, ip_version=6, cidr="2001:db8::/64", allocation_pools=[])
    for address in ("10.0.0.9", "10.0.0.10", "10.0.0.30", "2001:db8::9"):
        subnet = six if ":" in address else four
        fixed = [{"subnet_id": subnet["id"], "ip_address": address}]
        api.make("port", network_id=network, fixed_ips=fixed)
    shown = api.get(f"{PATH}/{network}").body["network_ip_availability"]
    assert shown[DETAILS] == _details(254 + 2**64, 11, 4, 2)
    by_version = {one["ip_version"]: one for one in shown["subnet_ip_availability"]}
    assert by_version[4][DETAILS] == _details(254, 11, 3, 2)
    assert by_version[6][DETAILS] == _details(2**64, 0, 1, 0)
    (narrowed,) = _listed(api, "?ip_version=4")
    assert narrowed[DETAILS] == _details(254, 11, 3, 2)
    (lone,) = _listed(api, f"?network_id={api.make('network')['id']}")
    assert lone[DETAILS] == _details(0, 0, 0, 0)


def test_small_subnets_have_no_address_to_spare(api: Client) -> None:
    network = api.make("network")["id"]
    for cidr in ("10.0.0.0/31", "10.0.1.1/32"):
        api.make("subnet", network_id=network, ip_version=4, cidr=cidr, gateway_ip=None, enable_dhcp=False)
    shown = api.get(f"{PATH}/{network}").body["network_ip_availability"]
    assert [one[DETAILS]["total_ips_in_subnet"] for one in shown["subnet_ip_availability"]] == [2, 1]
