"""A cloud that is well, and each way in which it could not be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deuteron.drill import invariants
from deuteron.drill.invariants import Subject
from deuteron.drill.seen import Host, View, gated
from deuteron.lab.modes import MODES

ROUTER, BLUE, ELECTION = "r0000000-router", "b0000000-blue", "e0000000-election"
SUBJECT = Subject(ROUTER, MODES["ha"], 7, "controller")
NETS = ("net1", "net2", "net3")
DHCP = ("net1", "net2")

PLAN: list[dict[str, Any]] = [
    {"kind": "network", "id": BLUE, "type": "vxlan", "vni": 5},
    {"kind": "router", "id": ROUTER, "number": 7, "interfaces": [{"id": "p0000000-inside"}]},
    {"kind": "election", "id": ELECTION, "ha_network": "h0000000-ha"},
]
SERVING: dict[str, Any] = {"kind": "dhcp", "id": BLUE, "port": "d0000000-dhcp"}


def host(name: str) -> Host:
    serving = name in DHCP
    dnsmasq = {f"dnsmasq-{BLUE}": 30} if serving else {}
    return Host(
        state="on",
        namespaces=frozenset(
            {f"qrouter-{ROUTER}", "qha-h0000000-ha", "qmeta"} | ({f"qdhcp-{BLUE}"} if serving else set())
        ),
        devices=frozenset(
            {"lo", "eth-mgmt", "brqb0000000-bl", "vxlan-5", "tapp0000000-in"}
            | ({"tapd0000000-dh"} if serving else set())
        ),
        gated=frozenset() if name == "net1" else frozenset({7}),
        processes={1: (0, "init"), 20: (1, "keepalived -n"), 21: (20, "keepalived -n"), 30: (1, "dnsmasq -k")}
        if serving
        else {1: (0, "init"), 20: (1, "keepalived -n")},
        daemons={f"keepalived-{ELECTION}": 20, **dnsmasq},
    )


def hosts() -> dict[str, Host]:
    return {"controller": Host(state="on"), **{name: host(name) for name in NETS}}


def view() -> View:
    agents = [
        {"host": name, "alive": True, "agent_type": kind}
        for name in NETS
        for kind in ("L3 agent", "DHCP agent")
    ]
    return View(
        status={
            "routers": [
                {
                    "id": ROUTER,
                    "active": "net1",
                    "candidates": list(NETS),
                    "built": list(NETS),
                    "moving": False,
                }
            ],
            "problems": [],
        },
        agents=agents,
        l3_agents=[
            {"host": name, "alive": True, "ha_state": "active" if name == "net1" else "standby"}
            for name in NETS
        ],
        dhcp={"blue": list(DHCP)},
        ports=[
            {
                "id": "p1",
                "device_owner": "compute:nova",
                "binding:host_id": "net1",
                "status": "ACTIVE",
                "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.9"}],
            }
        ],
        history=[{"to": "net1"}],
        plans={name: [*PLAN, *([SERVING] if name in DHCP else [])] for name in NETS},
    )


def found(view: View | None, hosts: dict[str, Host]) -> list[str]:
    return [*invariants.in_view(SUBJECT, view, hosts), *invariants.in_kernels(SUBJECT, view, hosts)]


def test_what_is_well_is_well() -> None:
    assert found(view(), hosts()) == []


Change = Callable[[Host], Host]
KERNELS: list[tuple[str, str, Change]] = [
    ("2 twins forward: net1, net2", "net2", lambda h: replace(h, gated=frozenset())),
    ("2 twins forward: net1, net2", "net2", lambda h: replace(h, gated=None)),
    ("0 twins forward: on no host", "net1", lambda h: replace(h, gated=frozenset({7}))),
    ("orphan: namespace qdhcp-x", "net3", lambda h: replace(h, namespaces=h.namespaces | {"qdhcp-x"})),
    ("orphan: device tapx", "net3", lambda h: replace(h, devices=h.devices | {"tapx"})),
    ("device vxlan-5 is missing", "net3", lambda h: replace(h, devices=h.devices - {"vxlan-5"})),
    (
        "namespace qha-h0000000-ha is missing",
        "net3",
        lambda h: replace(h, namespaces=h.namespaces - {"qha-h0000000-ha"}),
    ),
    ("daemon keepalived-e0000000-election is missing", "net3", lambda h: replace(h, daemons={})),
    ("orphan: daemon dnsmasq-x", "net3", lambda h: replace(h, daemons={**h.daemons, "dnsmasq-x": 1})),
    (f"daemon keepalived-{ELECTION} does not run", "net3", lambda h: replace(h, processes={1: (0, "init")})),
    (
        "orphan: process 99",
        "net3",
        lambda h: replace(h, processes={**h.processes, 99: (1, "/usr/sbin/dnsmasq --x")}),
    ),
]


@pytest.mark.parametrize(("told", "name", "change"), KERNELS, ids=[told for told, _, _ in KERNELS])
def test_what_is_wrong_in_a_kernel_is_told(told: str, name: str, change: Change) -> None:
    now = hosts()
    now[name] = change(now[name])
    assert any(told in text for text in found(view(), now)), found(view(), now)


def router(**values: Any) -> dict[str, Any]:
    return {**view().status, "routers": [{**view().status["routers"][0], **values}]}


def port(id_: str, **values: Any) -> dict[str, Any]:
    return {**view().ports[0], "id": id_, **values}


def floating_ip(**values: Any) -> dict[str, Any]:
    return {"kind": "floatingip", "id": "f", "router": ROUTER, "floating_ip": "203.0.113.9", **values}


def test_a_floating_ip_is_in_one_place() -> None:
    now, told = hosts(), {**view().plans, "net2": [*view().plans["net2"], floating_ip()]}
    seen = replace(view(), plans=told)
    assert found(seen, now) == ["floating IP 203.0.113.9 is served on no host"]
    for name in ("net1", "net2"):  # the second one is gated
        now[name] = replace(now[name], central=frozenset({"203.0.113.9"}))
    assert found(seen, now) == []
    now["net3"] = replace(now["net3"], floating=frozenset({"203.0.113.9"}))
    assert found(seen, now) == ["floating IP 203.0.113.9 is served on net3, net1"]


def test_without_standbys_who_cannot_be_told_may_go_on_beside_who_has_replaced_it() -> None:
    plain, address = replace(SUBJECT, mode=MODES["legacy"]), "203.0.113.9"
    now = hosts()
    for name in ("net1", "net2"):
        now[name] = replace(now[name], central=frozenset({address}), gated=frozenset())
    assert invariants.forwarding(plain, now) == ["net1", "net2"]
    now["net1"] = replace(now["net1"], cut=frozenset({"management"}))
    assert invariants.forwarding(plain, now) == ["net2"]
    assert invariants.on_the_wire(plain, now, {address: {"net1", "net2"}}) == []
    assert invariants.on_the_wire(plain, now, {address: {"net1"}})
    assert invariants.forwarding(SUBJECT, now) == ["net1", "net2"]
    now["net2"] = replace(now["net2"], gated=frozenset({7}))
    assert invariants.forwarding(plain, now) == ["net1"]


def test_a_floating_ip_is_answered_for_where_it_is_served() -> None:
    now, address = hosts(), "203.0.113.9"
    for name in ("net1", "net2"):  # the second one is gated
        now[name] = replace(now[name], central=frozenset({address}))
    assert invariants.on_the_wire(SUBJECT, now, {address: {"net1"}}) == []
    for by, told in (
        ({"net1", "net2"}, "answered for by net1, net2"),
        ({"net2"}, "answered for by net2"),
        (set[str](), "answered for by no host"),
    ):
        (found,) = invariants.on_the_wire(SUBJECT, now, {address: by})
        assert found == f"floating IP {address} is {told}, and served on net1"
    now["net1"] = replace(now["net1"], cut=frozenset({"external"}))
    assert invariants.on_the_wire(SUBJECT, now, {address: ()}) == []
    now = {**hosts(), "net3": replace(host("net3"), floating=frozenset({address}))}
    assert invariants.on_the_wire(SUBJECT, now, {address: {"net3"}}) == []


def test_the_central_part_of_a_distributed_router_is_in_a_namespace_of_its_own() -> None:
    now = {name: replace(one, namespaces=one.namespaces | {"qrouter-x"}) for name, one in hosts().items()}
    for name in ("net1", "net2"):
        now[name] = replace(now[name], namespaces=frozenset({f"snat-{ROUTER}", f"qrouter-{ROUTER}"}))
    assert invariants.forwarding(SUBJECT, now) == ["net1"]


VIEWS: list[tuple[str, dict[str, Any]]] = [
    ("the server says net2", {"status": router(active="net2")}),
    ("not built on net3", {"status": router(built=["net1", "net2"])}),
    ("still moving", {"status": router(moving=True)}),
    ("a problem is shown", {"status": {**view().status, "problems": ["net1: dnsmasq: ended"]}}),
    ("its history ends with net3", {"history": [{"to": "net3"}]}),
    ("2 candidates", {"l3_agents": view().l3_agents[:2]}),
    ("several for active", {"l3_agents": [{**one, "ha_state": "active"} for one in view().l3_agents]}),
    ("served by net1", {"dhcp": {"blue": ["net1"]}}),
    ("served by net1, net2, net3", {"dhcp": {"blue": list(NETS)}}),
    ("net1: for the server its agents are dead", {"agents": [{**a, "alive": False} for a in view().agents]}),
    ("both have 10.0.0.9", {"ports": [port("p1"), port("p2")]}),
    ("p1 (compute:nova) is DOWN", {"ports": [port("p1", status="DOWN")]}),
]


@pytest.mark.parametrize(("told", "values"), VIEWS, ids=[told for told, _ in VIEWS])
def test_what_the_server_has_wrong_is_told(told: str, values: dict[str, Any]) -> None:
    assert any(told in text for text in found(replace(view(), **values), hosts()))


def test_a_dead_host_is_no_violation_once_it_is_known() -> None:
    now = {**hosts(), "net3": Host(state="off")}
    known = replace(
        view(),
        agents=[{**agent, "alive": agent["host"] != "net3"} for agent in view().agents],
        status={**view().status, "problems": ["net3: silent for 12 s"]},
    )
    assert found(known, now) == []
    assert found(view(), now) == ["net3: for the server its agents are alive, and they are dead"]


def test_with_a_better_host_the_router_does_not_stay_where_its_networks_are_cut() -> None:
    now = hosts()
    now["net1"] = replace(now["net1"], cut=frozenset({"external"}))
    assert found(view(), now) == ["the router is active on net1, which has no external"]
    for name in ("net2", "net3"):
        now[name] = replace(now[name], cut=frozenset({"external"}))
    assert found(view(), now) == []


def test_without_a_server_only_the_kernels_count() -> None:
    now = {**hosts(), "controller": Host(state="off")}
    assert found(None, now) == []
    now["net2"] = replace(now["net2"], gated=frozenset())
    assert found(None, now) == ["2 twins forward: net1, net2"]
    assert found(None, hosts()) == ["the server does not answer"]


@pytest.mark.parametrize(
    ("listing", "numbers"),
    [
        ("table bridge deuteron_gate {\n\tset standby {\n\t\ttype devgroup\n\t}\n}", set()),
        ("set standby {\n elements = { 7, 0x00000009,\n 11 }\n}", {7, 9, 11}),
        ("Error: No such file or directory", None),
    ],
)
def test_the_gate_is_read_as_nft_lists_it(listing: str, numbers: set[int] | None) -> None:
    assert gated(listing) == numbers
