"""What others keep with a port, and MAC addresses that are made anew."""

import pytest

from tests.api.conftest import Client

STEERING = {"openvswitch": {"other_config": {"tx-steering": "hash"}}}


@pytest.fixture
def network(api: Client) -> str:
    return str(api.make("network")["id"])


def test_they_are_kept_and_change(api: Client, network: str) -> None:
    made = api.make("port", network_id=network)
    plain = {
        "numa_affinity_policy": None,
        "device_profile": None,
        "data_plane_status": None,
        "propagate_uplink_status": True,
        "hints": None,
    }
    assert {name: made[name] for name in plain} == plain
    said = {"numa_affinity_policy": "socket", "device_profile": "gpu\nsmall", "hints": STEERING}
    other = api.make("port", network_id=network, **said)
    assert {name: other[name] for name in said} == said
    changes = {"data_plane_status": "DOWN", "propagate_uplink_status": False, "hints": {}}
    changed = api.put(f"/ports/{other['id']}", {"port": changes})
    assert changed.status == 200
    shown = api.shown("port", other["id"])
    assert (shown["data_plane_status"], shown["propagate_uplink_status"], shown["hints"]) == (
        "DOWN",
        False,
        None,
    )
    assert shown["numa_affinity_policy"] == "socket"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("numa_affinity_policy", "closest"),
        ("device_profile", 7),
        ("data_plane_status", "ACTIVE"),  # a monitor's, not the creator's
        ("propagate_uplink_status", "maybe"),
        ("hints", {"openvswitch": {"other_config": {"tx-steering": "none"}}}),
        ("hints", {"openvswitch": {}}),
        ("hints", "fast"),
    ],
)
def test_what_makes_no_sense_is_refused(api: Client, network: str, attribute: str, value: object) -> None:
    assert api.refused("port", network_id=network, **{attribute: value})[0] == 400


def test_a_mac_address_of_null_is_a_new_one(api: Client, network: str) -> None:
    made = api.make("port", network_id=network, mac_address=None)
    assert made["mac_address"].startswith("fa:16:3e:")
    anew = api.put(f"/ports/{made['id']}", {"port": {"mac_address": None}})
    assert anew.status == 200
    mac = api.shown("port", made["id"])["mac_address"]
    assert mac.startswith("fa:16:3e:")
    assert mac != made["mac_address"]
    api.put(f"/ports/{made['id']}", {"port": {"binding:host_id": "compute1"}})
    bound = api.put(f"/ports/{made['id']}", {"port": {"mac_address": None}})
    assert (bound.status, bound.error) == (409, "PortBound")
