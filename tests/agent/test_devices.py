from typing import Any

import pytest

from deuteron.agent import names
from deuteron.agent.l2 import devices
from deuteron.plan.units import Network

NETWORK = Network(id="11111111-2222-3333", type="vxlan", mtu=1450, vni=7)
FLAT = Network(id="ffffffff-2222-3333", type="flat", mtu=1500, physical_network="external")
MAPPINGS = {"external": "eth2"}


def link(name: str, **values: Any) -> dict[str, Any]:
    kind = "vxlan" if name.startswith("vxlan") else "bridge"
    return {
        "ifname": name,
        "mtu": 1500,
        "flags": ["UP"],
        "address": "02:00:00:00:00:99",
        "linkinfo": {"info_kind": kind},
        **values,
    }


ADDRESS = [{"scope": "global", "local": "10.0.0.9", "prefixlen": 24}]


HERE = devices.Tunnel("10.0.0.1")


def work(network: Network, *links: dict[str, Any], tunnel: devices.Tunnel = HERE) -> devices.Work:
    return devices.work(network, {found["ifname"]: found for found in links}, MAPPINGS, tunnel)


def test_a_new_overlay() -> None:
    todo = work(NETWORK)
    assert todo.make == [
        "link add brq11111111-22 address fe:12:69:08:50:93 type bridge"
        " mcast_snooping 0 stp_state 0 forward_delay 0",
        "link set brq11111111-22 alias deuteron",
        "link add vxlan-7 address fe:45:06:84:4b:c4 mtu 1450 type vxlan"
        " id 7 local 10.0.0.1 dstport 4789 learning",
        "link set vxlan-7 alias deuteron",
        "link set vxlan-7 master brq11111111-22",
        "link set vxlan-7 type bridge_slave isolated on",
    ]
    assert todo.devices == ["brq11111111-22", "vxlan-7"]
    assert todo.start == [
        "link set brq11111111-22 mtu 1450",
        "link set brq11111111-22 arp off",
        "link set vxlan-7 up",
        "link set brq11111111-22 up",
    ]


ISOLATED = {"isolated": True}
BRIDGE = link("brq11111111-22", ifalias="deuteron", mtu=1450, flags=["UP", "NOARP"])
VXLAN = link(
    "vxlan-7",
    ifalias="deuteron",
    mtu=1450,
    master="brq11111111-22",
    linkinfo={
        "info_kind": "vxlan",
        "info_data": {"id": 7, "local": "10.0.0.1", "port": 4789},
        "info_slave_data": ISOLATED,
    },
)


def test_nothing_is_done_twice() -> None:
    assert work(NETWORK, BRIDGE, VXLAN) == devices.Work()
    flat_bridge = link("brqffffffff-22", ifalias="deuteron", flags=["UP", "NOARP"])
    eth2 = link("eth2", master="brqffffffff-22", linkinfo={"info_slave_data": ISOLATED})
    assert work(FLAT, flat_bridge, eth2) == devices.Work()
    eth2["linkinfo"] = {"info_slave_data": {"isolated": False}}
    assert work(FLAT, flat_bridge, eth2).make == ["link set eth2 type bridge_slave isolated on"]


def test_a_tunnel_of_another_underlay_address_is_made_anew() -> None:
    data = {"id": 7, "local": "10.0.0.9", "port": 4789}
    other = {**VXLAN, "linkinfo": {"info_kind": "vxlan", "info_data": data}}
    assert work(NETWORK, BRIDGE, other).make[0] == "link delete vxlan-7"


def test_marks_are_copied_to_the_tunnels_header_where_that_is_wanted() -> None:
    inherit = devices.Tunnel("10.0.0.1", dscp_inherit=True)
    assert any(line.endswith("learning tos inherit") for line in work(NETWORK, tunnel=inherit).make)
    assert work(NETWORK, BRIDGE, VXLAN, tunnel=inherit).make == ["link set vxlan-7 type vxlan tos inherit"]
    info = {**VXLAN["linkinfo"], "info_data": {**VXLAN["linkinfo"]["info_data"], "tos": "0x1"}}
    inherits = {**VXLAN, "linkinfo": info}
    assert work(NETWORK, BRIDGE, inherits, tunnel=inherit) == devices.Work()
    assert work(NETWORK, BRIDGE, inherits).make == ["link set vxlan-7 type vxlan tos 0"]


def test_a_device_that_a_crash_left_without_its_alias_is_ours() -> None:
    name = "brq11111111-22"
    left = link(name, address=names.device_mac(name), flags=[])
    assert work(NETWORK, left, VXLAN).make == [f"link set {name} alias deuteron"]


@pytest.mark.parametrize(
    ("network", "links", "reason"),
    [
        (NETWORK, [link("brq11111111-22", addr_info=ADDRESS)], "not ours is in the way"),
        (NETWORK, [BRIDGE, link("vxlan-7")], "not ours is in the way"),
        (NETWORK, [{**BRIDGE, "linkinfo": {"info_kind": "dummy"}}], "not ours is in the way"),
        (FLAT, [], "there is no device eth2"),
        (FLAT, [link("eth2", mtu=1400)], "MTU 1400"),
        (FLAT, [link("eth2", master="br0")], "belongs to br0"),
        (
            FLAT,
            [link("eth2", addr_info=[{"scope": "global", "local": "192.0.2.1", "prefixlen": 24}])],
            "192.0.2.1/24",
        ),
        (Network(id="x", type="flat", mtu=1500, physical_network="other"), [], "bridge_mappings"),
        (Network(id="x", type="vxlan", mtu=1500), [], "no VNI"),
    ],
)
def test_what_is_refused_says_why(network: Network, links: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(devices.Refused, match=reason):
        work(network, *links)


def test_a_link_local_address_is_no_hindrance() -> None:
    eth2 = link("eth2", addr_info=[{"scope": "link", "local": "fe80::1", "prefixlen": 64}])
    assert "link set eth2 master brqffffffff-22" in work(FLAT, eth2).make


def test_a_bridge_of_a_hypervisor_is_taken_over_only_with_instances_in_it() -> None:
    theirs = link("brq11111111-22")

    def adopted(*members: str, **values: Any) -> bool:
        links = {"brq11111111-22": {**theirs, **values}}
        try:
            todo = devices.work(NETWORK, links, MAPPINGS, HERE, members)
        except devices.Refused:
            return False
        assert todo.make[:2] == [
            "link set brq11111111-22 address fe:12:69:08:50:93",
            "link set brq11111111-22 alias deuteron",
        ]
        assert "link set brq11111111-22 arp off" in todo.start
        return True

    assert adopted()
    assert adopted("tap1", "tap2")
    assert adopted(addr_info=[{"scope": "link", "local": "fe80::1", "prefixlen": 64}])
    assert not adopted("tap1", "eth0")
    assert not adopted(addr_info=ADDRESS)
    assert not adopted(linkinfo={"info_kind": "veth"})
    assert not adopted(ifalias="mine")
