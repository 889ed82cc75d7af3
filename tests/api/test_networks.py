"""Networks: types, numbers, MTU, and when one may not go."""

import pytest

from deuteron.settings import ServerSettings
from tests.api.conftest import Client, Topology


def test_a_network_has_neutrons_defaults(api: Client) -> None:
    network = api.make("network", name="n")
    assert network["admin_state_up"] is True
    assert network["status"] == "ACTIVE"
    assert network["shared"] is False
    assert network["router:external"] is False
    assert network["subnets"] == []
    assert network["mtu"] == 1450
    assert network["provider:network_type"] == "vxlan"
    assert network["provider:physical_network"] is None
    assert network["tenant_id"] == network["project_id"] != ""
    assert network["revision_number"] == 1
    assert network["created_at"] == network["updated_at"]


def test_a_flat_network_takes_a_physical_network_for_itself(api: Client) -> None:
    flat = {"provider__network_type": "flat", "provider__physical_network": "external"}
    assert api.make("network", **flat)["mtu"] == 1500
    assert api.refused("network", **flat) == (409, "FlatNetworkInUse")
    assert api.refused("network", provider__network_type="flat") == (400, "InvalidInput")
    assert api.refused("network", provider__network_type="gre")[0] == 400


@pytest.mark.parametrize(
    "domain", ["<project_id>.example.org.", "<user_name>.<Project_Name>.example.org.", "<user_id>."]
)
def test_domains_may_say_whose_names_they_are(api: Client, domain: str) -> None:
    network = api.make("network", dns_domain=domain)
    assert network["dns_domain"] == domain.lower()
    assert api.make("port", network_id=network["id"], dns_domain=domain)["dns_domain"] == domain.lower()
    assert api.refused("port", network_id=network["id"], dns_name=domain.removesuffix("."))[0] == 400


@pytest.mark.parametrize(
    "domain", ["<host>.example.org.", "<project_id>", "a<project_id>.b.", "<project_id.b."]
)
def test_other_keywords_are_none(api: Client, domain: str) -> None:
    assert api.refused("network", dns_domain=domain)[0] == 400


def test_vnis_are_the_lowest_free_ones_and_unique(api: Client) -> None:
    made = [api.make("network")["provider:segmentation_id"] for _ in range(3)]
    assert made == [1, 2, 3]
    assert api.refused("network", provider__network_type="vxlan", provider__segmentation_id=2) == (
        409,
        "TunnelIdInUse",
    )
    four = api.make("network", provider__network_type="vxlan", provider__segmentation_id=4)
    assert api.make("network")["provider:segmentation_id"] == 5
    assert api.delete(f"/networks/{four['id']}").status == 204
    assert api.make("network")["provider:segmentation_id"] == 4


@pytest.mark.parametrize("settings", [ServerSettings(vni_ranges="10:11,20:20")])
def test_vnis_come_from_their_ranges_and_end(api: Client, settings: ServerSettings) -> None:
    assert [api.make("network")["provider:segmentation_id"] for _ in range(3)] == [10, 11, 20]
    assert api.refused("network") == (503, "NoNetworkAvailable")


@pytest.mark.parametrize("settings", [ServerSettings(flat_networks=("physnet1",))])
def test_only_named_physical_networks_are_used(api: Client, settings: ServerSettings) -> None:
    flat = {"provider__network_type": "flat"}
    assert api.refused("network", **flat, provider__physical_network="other") == (400, "InvalidInput")
    api.make("network", **flat, provider__physical_network="physnet1")


def test_an_mtu_may_be_smaller_but_not_larger_than_the_wire_allows(api: Client) -> None:
    network = api.make("network", mtu=1300)
    assert network["mtu"] == 1300
    assert api.refused("network", mtu=1451) == (400, "InvalidInput")
    assert api.put(f"/networks/{network['id']}", {"network": {"mtu": 1400}}).body["network"]["mtu"] == 1400
    assert api.put(f"/networks/{network['id']}", {"network": {"mtu": 9000}}).status == 400
    tiny = api.make("network", mtu=67)["id"]
    assert api.refused("subnet", network_id=tiny, ip_version=4, cidr="10.0.0.0/24")[0] == 409
    api.make("subnet", network_id=network["id"], ip_version=6, cidr="2001:db8::/64")
    assert api.put(f"/networks/{network['id']}", {"network": {"mtu": 1279}}).status == 409
    assert api.put(f"/networks/{network['id']}", {"network": {"mtu": 1280}}).status == 200
    small = api.make("network", mtu=1000)["id"]
    assert api.refused("subnet", network_id=small, ip_version=6, cidr="2001:db8::/64") == (
        409,
        "NetworkMTUSubnetConflict",
    )


def test_a_network_with_ports_stays(api: Client) -> None:
    network = api.make("network")["id"]
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    port = api.make("port", network_id=network)["id"]
    refused = api.delete(f"/networks/{network}")
    assert (refused.status, refused.error) == (409, "NetworkInUse")
    assert api.delete(f"/ports/{port}").status == 204
    dhcp = api.make("port", network_id=network, device_owner="network:dhcp")["id"]
    assert api.delete(f"/networks/{network}").status == 204
    assert api.get(f"/subnets/{subnet}").error == "SubnetNotFound"
    assert api.get(f"/ports/{dhcp}").error == "PortNotFound"
    assert api.get(f"/networks/{network}").error == "NetworkNotFound"


def test_an_external_network_in_use_stays_external(api: Client, topology: Topology) -> None:
    refused = api.put(f"/networks/{topology.external}", {"network": {"router:external": False}})
    assert (refused.status, refused.error) == (409, "ExternalNetworkInUse")


def test_a_shared_network_that_others_use_stays_shared(api: Client) -> None:
    network = api.make("network", shared=True, project_id="a")["id"]
    port = api.make("port", network_id=network, project_id="b")["id"]
    refused = api.put(f"/networks/{network}", {"network": {"shared": False}})
    assert (refused.status, refused.error) == (409, "InvalidSharedSetting")
    assert api.delete(f"/ports/{port}").status == 204
    assert api.put(f"/networks/{network}", {"network": {"shared": False}}).status == 200
