"""Agents as Neutron shows them, and what Deuteron adds below /v1."""

import base64
import time
from typing import Any

import msgspec
import pytest

from deuteron.cli import main
from deuteron.plan.units import ElectionReport, Instance
from tests.agents_api.conftest import Cloud
from tests.api.conftest import Topology
from tests.api.test_openstack import _run


@pytest.fixture
def three(cloud: Cloud) -> Cloud:
    return with_three(cloud)


def with_three(cloud: Cloud) -> Cloud:
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    return cloud


def agents_of(cloud: Cloud, router: str) -> dict[str, str | None]:
    found = cloud.api.get(f"/routers/{router}/l3-agents").body["agents"]
    return {one["host"]: one["ha_state"] for one in found}


def active_host(cloud: Cloud, router: str) -> str:
    cloud.until(
        lambda: sorted(map(str, agents_of(cloud, router).values())) == ["active", "standby", "standby"]
    )
    return next(host for host, state in agents_of(cloud, router).items() if state == "active")


def test_a_host_is_four_agents(three: Cloud) -> None:
    agents = three.api.get("/agents").body["agents"]
    assert len(agents) == 12
    assert {one["agent_type"] for one in agents} == {
        "Linux bridge agent",
        "L3 agent",
        "DHCP agent",
        "Metadata agent",
    }
    assert all(one["alive"] and one["admin_state_up"] for one in agents)
    one = three.api.get("/agents?host=net1&agent_type=L3%20Agent").body["agents"]
    assert len(one) == 1
    assert three.api.get(f"/agents/{one[0]['id']}").body["agent"] == one[0]
    zones = three.api.get("/availability_zones").body["availability_zones"]
    assert zones == [
        {"name": "nova", "resource": "network", "state": "available"},
        {"name": "nova", "resource": "router", "state": "available"},
    ]


def test_who_carries_what(three: Cloud) -> None:
    topology = Topology(three.api, ha=True)
    active_host(three, topology.router)
    three.until(lambda: len(three.api.get(f"/networks/{topology.network}/dhcp-agents").body["agents"]) == 2)
    serving = three.api.get(f"/networks/{topology.network}/dhcp-agents").body["agents"][0]
    networks = three.api.get(f"/agents/{serving['id']}/dhcp-networks").body["networks"]
    assert three.api.shown("network", topology.network) in networks, "all that is known of it"
    l3 = three.api.get("/agents?host=net1&agent_type=L3%20agent").body["agents"][0]["id"]
    assert three.api.get(f"/agents/{l3}/l3-routers").body["routers"] == [
        three.api.shown("router", topology.router)
    ]
    assert three.api.shown("router", topology.router)["availability_zones"] == ["nova"]
    assert three.api.get(f"/agents/{l3}/dhcp-networks").status == 404
    assert three.api.get("/routers/nothing/l3-agents").status == 404
    names = {one["name"] for one in three.api.get("/networks").body["networks"]}
    assert "HA network tenant" in names


def agent_of(cloud: Cloud, host: str, role: str) -> str:
    type_ = {"dhcp": "DHCP%20agent", "l3": "L3%20agent", "l2": "Linux%20bridge%20agent"}[role]
    found = cloud.api.get(f"/agents?host={host}&agent_type={type_}").body["agents"]
    return str(found[0]["id"])


def serving(cloud: Cloud, network: str) -> set[str]:
    return {one["host"] for one in cloud.api.get(f"/networks/{network}/dhcp-agents").body["agents"]}


def test_networks_are_scheduled_by_hand_as_in_neutron(three: Cloud) -> None:
    network = _network(three)
    three.until(lambda: len(serving(three, network)) == 2)
    (spare,) = set(three.agents) - serving(three, network)
    agent = agent_of(three, spare, "dhcp")
    path = f"/agents/{agent}/dhcp-networks"
    added = three.api.post(path, {"network_id": network})
    assert (added.status, added.body) == (201, None)
    assert serving(three, network) == set(three.agents), "it is shown at once"
    assert network in [one["id"] for one in three.api.get(path).body["networks"]]
    again = three.api.post(path, {"network_id": network})
    assert (again.status, again.error) == (409, "NetworkHostedByDHCPAgent")
    three.until(lambda: f"dhcp/{network}" in three.agents[spare].stream.plan)
    assert three.api.delete(f"{path}/{network}").status == 204
    assert spare not in serving(three, network)
    three.until(lambda: f"dhcp/{network}" not in three.agents[spare].stream.plan)
    gone = three.api.delete(f"{path}/{network}")
    assert (gone.status, gone.error) == (409, "NetworkNotHostedByDhcpAgent")
    empty = three.api.make("network")["id"]
    assert three.api.post(path, {"network_id": empty}).status == 201, (
        "without a subnet: served when there is one"
    )
    assert serving(three, empty) == {spare}
    three.api.make("subnet", network_id=empty, ip_version=4, cidr="10.8.0.0/24")
    three.until(lambda: f"dhcp/{empty}" in three.agents[spare].stream.plan)


def test_routers_are_scheduled_by_hand_as_in_neutron(three: Cloud) -> None:
    topology = Topology(three.api, ha=True)
    active = active_host(three, topology.router)
    path = f"/agents/{agent_of(three, active, 'l3')}/l3-routers"
    assert three.api.post(path, {"router_id": topology.router}).status == 201, "it is there already"
    assert three.api.delete(f"{path}/{topology.router}").status == 204
    assert active not in agents_of(three, topology.router)
    gone = three.api.delete(f"{path}/{topology.router}")
    assert (gone.status, gone.error) == (409, "RouterNotHostedByL3Agent")
    three.until(lambda: f"router/{topology.router}" not in three.agents[active].stream.plan)
    three.until(lambda: sorted(map(str, agents_of(three, topology.router).values())) == ["active", "standby"])
    assert three.api.post(path, {"router_id": topology.router}).status == 201
    assert topology.router in [one["id"] for one in three.api.get(path).body["routers"]]
    assert agents_of(three, topology.router)[active] == "standby"
    three.until(lambda: f"router/{topology.router}" in three.agents[active].stream.plan)
    plain = three.api.make("router")["id"]
    here = next(iter(three.until(lambda: agents_of(three, plain))))
    other = next(name for name in three.agents if name != here)
    refused = three.api.post(f"/agents/{agent_of(three, other, 'l3')}/l3-routers", {"router_id": plain})
    assert (refused.status, refused.error) == (409, "RouterHostedByL3Agent")


def test_scheduling_that_cannot_be_is_refused(three: Cloud) -> None:
    network = _network(three)
    flat = three.api.make("network", provider__network_type="flat", provider__physical_network="elsewhere")[
        "id"
    ]
    router = three.api.make("router")["id"]
    dhcp, l3 = agent_of(three, "net1", "dhcp"), agent_of(three, "net1", "l3")
    nobody = "00000000-0000-4000-8000-000000000000"
    for path, body, expected in [
        (f"/agents/{l3}/dhcp-networks", {"network_id": network}, (404, "InvalidDHCPAgent")),
        (f"/agents/{dhcp}/l3-routers", {"router_id": router}, (404, "InvalidL3Agent")),
        (f"/agents/{dhcp}/dhcp-networks", {"network_id": flat}, (404, "InvalidDHCPAgent")),
        (f"/agents/{dhcp}/dhcp-networks", {"network_id": nobody}, (404, "NetworkNotFound")),
        (f"/agents/{l3}/l3-routers", {"router_id": nobody}, (404, "RouterNotFound")),
        (f"/agents/{nobody}/l3-routers", {"router_id": router}, (404, "AgentNotFound")),
        (f"/agents/{dhcp}/dhcp-networks", {"network_id": "\0"}, (400, "HTTPBadRequest")),
        (f"/agents/{dhcp}/dhcp-networks", {"network_id": network, "x": 1}, (400, "HTTPBadRequest")),
        (f"/agents/{dhcp}/dhcp-networks", [], (400, "HTTPBadRequest")),
        (f"/agents/{l3}/l3-routers", {}, (400, "HTTPBadRequest")),
    ]:
        answer = three.api.post(path, body)
        assert (answer.status, answer.error) == expected, (path, body, answer)
    assert three.api.delete(f"/agents/{dhcp}/dhcp-networks/{nobody}").status == 404
    assert three.api.delete(f"/agents/{nobody}/dhcp-networks/{network}").status == 404
    assert three.api.delete(f"/agents/{l3}/l3-routers/{nobody}").status == 404
    three.api.put(f"/agents/{dhcp}", {"agent": {"admin_state_up": False}})
    answer = three.api.post(f"/agents/{dhcp}/dhcp-networks", {"network_id": network})
    assert (answer.status, answer.error) == (404, "InvalidDHCPAgent")
    assert three.api.put(f"/agents/{l3}/l3-routers", {}).status == 405


def test_the_openstack_command_schedules(three: Cloud) -> None:
    topology = Topology(three.api, ha=True)
    network = topology.network
    active = active_host(three, topology.router)
    three.until(lambda: len(serving(three, network)) == 2)
    (spare,) = set(three.agents) - serving(three, network)
    server = next(iter(serving(three, network)))
    l3 = agent_of(three, active, "l3")
    _run(
        three.api,
        f"network agent add network --dhcp {agent_of(three, spare, 'dhcp')} {network}",
        f"network agent remove network --dhcp {agent_of(three, server, 'dhcp')} {network}",
        f"network agent remove router --l3 {l3} {topology.router}",
    )
    three.until(lambda: active not in agents_of(three, topology.router))
    assert serving(three, network) == set(three.agents) - {server}
    _run(three.api, f"network agent add router --l3 {l3} {topology.router}")
    three.until(lambda: f"router/{topology.router}" in three.agents[active].stream.plan)
    _run(three.api, f"network agent set --disable {l3}")
    three.until(lambda: f"router/{topology.router}" not in three.agents[active].stream.plan)


def test_an_agent_that_is_down_gets_nothing_new(three: Cloud) -> None:
    for one in three.api.get("/agents?agent_type=DHCP%20agent&host=net1").body["agents"]:
        changed = three.api.put(
            f"/agents/{one['id']}", {"agent": {"admin_state_up": False, "description": "d"}}
        )
        assert changed.status == 200
        assert (changed.body["agent"]["admin_state_up"], changed.body["agent"]["description"]) == (False, "d")
    for number in range(3):
        made = three.api.make("network")["id"]
        three.api.make("subnet", network_id=made, ip_version=4, cidr=f"10.{number}.0.0/24")
        three.until(lambda made=made: len(three.api.get(f"/networks/{made}/dhcp-agents").body["agents"]) == 2)  # type: ignore[misc]
        hosts = {one["host"] for one in three.api.get(f"/networks/{made}/dhcp-agents").body["agents"]}
        assert hosts == {"net2", "net3"}


def test_a_dead_host_can_be_deleted_and_an_alive_one_cannot(mortal: Cloud) -> None:
    three = with_three(mortal)
    agent = three.api.get("/agents?host=net3").body["agents"][0]
    assert three.api.delete(f"/agents/{agent['id']}").status == 409
    port = three.api.make("port", network_id=_network(three), binding__host_id="net3")["id"]
    del three.agents["net3"]
    three.until(lambda: not three.api.get(f"/agents/{agent['id']}").body["agent"]["alive"])
    assert three.api.delete(f"/agents/{agent['id']}").status == 204
    assert {one["host"] for one in three.api.get("/agents").body["agents"]} == {"net1", "net2"}
    assert three.api.shown("port", port)["id"] == port


def _network(cloud: Cloud) -> str:
    made = cloud.api.make("network")["id"]
    cloud.api.make("subnet", network_id=made, ip_version=4, cidr="10.9.0.0/24")
    return str(made)


def test_a_router_is_moved_by_the_command(three: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    topology = Topology(three.api, ha=True)
    before = active_host(three, topology.router)
    target = next(name for name in three.agents if name != before)
    endpoint = f"http://127.0.0.1:{three.port}"
    assert main(["move", "r", target, "--endpoint", endpoint]) == 0
    told = capsys.readouterr().out
    assert f"r: {before} -> {target}" in told
    assert "done in" in told
    three.until(lambda: agents_of(three, topology.router)[target] == "active")
    history = three.v1("GET", f"/routers/{topology.router}/history")[1]["history"]
    assert (history[0]["from"], history[0]["to"]) == (before, target)
    assert history[0]["epoch"] == len(history)
    moved = three.v1("GET", f"/routers/{topology.router}/moves")[1]["moves"]
    assert moved[0]["phase"] == "done"
    assert main(["move", "r", target, "--endpoint", endpoint]) == 1
    assert "active there already" in capsys.readouterr().err
    assert main(["move", "nothing", target, "--endpoint", endpoint]) == 1
    assert main(["move", "r", target, "--endpoint", "http://127.0.0.1:1"]) == 1


def test_status_names_what_is_wrong(three: Cloud) -> None:
    topology = Topology(three.api, ha=True)
    active = active_host(three, topology.router)
    agent = three.agents["net2"]
    problems = {f"router/{topology.router}": "no space left on device"}
    agent.report = msgspec.structs.replace(agent.report, problems=problems)
    agent.tell()
    status, found = three.v1("GET", "/status")
    assert status == 200
    assert {one["name"]: one["alive"] for one in found["hosts"]} == dict.fromkeys(three.agents, True)
    assert [(one["id"], one["active"]) for one in found["routers"]] == [(topology.router, active)]
    (problem,) = found["problems"]
    assert problem.startswith("router r: net2: no space left on device")
    assert found["elections"][0]["members"][active]["state"] == "active"


def test_two_active_twins_are_named(three: Cloud) -> None:
    topology = Topology(three.api, ha=True)
    active = active_host(three, topology.router)
    other = three.agents[next(name for name in three.agents if name != active)]
    three.until(lambda: other.states)
    (id_,) = other.states
    other.states[id_] = ElectionReport(id=id_, state="active", since=time.time(), cause="adverts stopped")
    other.tell()

    def named() -> list[str]:
        problems = three.v1("GET", "/status")[1]["problems"]
        return [one for one in problems if "active on" in one and active in one and other.name in one]

    three.until(named)
    assert agents_of(three, topology.router)[other.name] == "active", "the later epoch stays"


def test_metadata_of_an_instance_reaches_its_host(three: Cloud) -> None:
    topology = Topology(three.api, ha=True)
    guest = {"device_id": "vm-1", "device_owner": "compute:nova", "binding:host_id": "net2"}
    port = three.api.make("port", network_id=topology.network, **guest)["id"]
    said: dict[str, Any] = {
        "name": "web",
        "user_data": base64.b64encode(b"#!/bin/sh\n").decode(),
        "public_keys": {"me": "ssh-ed25519 AAAA me\n"},
        "metadata": {"role": "front"},
    }
    assert three.v1("GET", "/instances/vm-1")[0] == 404
    assert three.v1("PUT", "/instances/vm-1", said)[0] == 200
    told = three.v1("GET", "/instances/vm-1")[1]["instance"]
    assert told == {"device_id": "vm-1", **said, "public_keys": {"me": "ssh-ed25519 AAAA me"}}

    def units() -> dict[str, Instance]:
        found = {name: agent.stream.plan.get(f"instance/{port}") for name, agent in three.agents.items()}
        return {name: unit for name, unit in found.items() if isinstance(unit, Instance) and unit.name}

    three.until(lambda: list(units()) == ["net2"])
    assert units()["net2"].metadata == {"role": "front"}
    assert units()["net2"].instance_id == "vm-1"
    assert three.v1("DELETE", "/instances/vm-1")[0] == 204
    three.until(lambda: not units())


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "x",
        {"name": 1},
        {"name": "a\nb"},
        {"name": "a\0b"},
        {"unknown": 1},
        {"user_data": "not base64!"},
        {"user_data": "A" * 70_000},
        {"metadata": {"k": "v\nw"}},
        {"metadata": {"k\0": "v"}},
        {"metadata": {str(i): "" for i in range(200)}},
        {"public_keys": {"k": "a\nb"}},
        {"public_keys": ["k"]},
    ],
)
def test_bad_metadata_is_refused(cloud: Cloud, said: Any) -> None:
    assert cloud.v1("PUT", "/instances/vm-1", said)[0] == 400
    assert cloud.v1("GET", "/instances/vm-1")[0] == 404


@pytest.mark.parametrize("id_", ["%00", "x%00y"])
def test_ids_with_nul_are_nobodys(cloud: Cloud, id_: str) -> None:
    for path in (f"/routers/{id_}/moves", f"/routers/{id_}/history", f"/instances/{id_}"):
        assert cloud.v1("GET", path)[0] in (400, 404)
    assert cloud.v1("POST", f"/routers/{id_}/move", {"host": "h"})[0] in (400, 404)
    assert cloud.v1("POST", "/routers/nothing/move", {"host": "h\0"})[0] == 404
    assert cloud.v1("PATCH", "/status")[0] == 405
