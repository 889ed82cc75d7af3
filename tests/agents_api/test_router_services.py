"""What routers do besides forwarding: from the API to the plans of their hosts, and what they count back."""

from typing import Any

from deuteron.plan.units import (
    FloatingIP,
    Forwarding,
    Helper,
    Meter,
    MeterReport,
    MeterRule,
    Router,
    Services,
)
from tests.agents_api.conftest import Agent, Cloud
from tests.api.conftest import Topology
from tests.api.test_router_services import Six


def router_on(agent: Agent, id_: str) -> Router | None:
    unit = agent.stream.plan.get(f"router/{id_}")
    return unit if isinstance(unit, Router) else None


def services(agent: Agent, id_: str) -> Services:
    unit = router_on(agent, id_)
    return unit.services if unit else Services()


def test_forwarded_ports_are_in_the_plan(cloud: Cloud) -> None:
    agent = cloud.agent("net1")
    api, topology = cloud.api, Topology(cloud.api)
    port = api.shown("port", topology.port)
    floating = api.make("floatingip", floating_network_id=topology.external)
    key, path = f"floatingip/{floating['id']}", f"/floatingips/{floating['id']}/port_forwardings"
    body = {
        "protocol": "tcp",
        "internal_port_id": port["id"],
        "internal_ip_address": port["fixed_ips"][0]["ip_address"],
        "external_port_range": "2200:2209",
        "internal_port": 22,
    }
    made = api.post(path, {"port_forwarding": body}).body["port_forwarding"]
    wanted = FloatingIP(
        id=floating["id"],
        router=topology.router,
        floating_ip=floating["floating_ip_address"],
        network=topology.external,
        forwardings=(
            Forwarding(
                protocol="tcp",
                external=(2200, 2209),
                fixed_ip=port["fixed_ips"][0]["ip_address"],
                internal=(22, 22),
            ),
        ),
    )
    cloud.until(lambda: agent.stream.plan.get(key) == wanted)
    api.delete(f"{path}/{made['id']}")
    cloud.until(lambda: key not in agent.stream.plan)


def test_helpers_and_meters_are_in_the_plan(cloud: Cloud) -> None:
    agent = cloud.agent("net1")
    api, topology = cloud.api, Topology(cloud.api)
    helper = {"protocol": "tcp", "port": 21, "helper": "ftp"}
    api.post(f"/routers/{topology.router}/conntrack_helpers", {"conntrack_helper": helper})
    wanted = (Helper(name="ftp", protocol="tcp", port=21),)
    cloud.until(lambda: services(agent, topology.router).helpers == wanted)
    labels = [
        metered(cloud, shared=True, direction="egress", remote_ip_prefix="10.0.0.0/24"),
        metered(cloud, direction="ingress", remote_ip_prefix="10.0.0.0/25", excluded=True),
    ]
    metered(cloud, project_id="another", direction="ingress", remote_ip_prefix="10.0.0.0/25")
    rules = (
        (MeterRule(direction="egress", source="10.0.0.0/24"),),
        (MeterRule(direction="ingress", destination="10.0.0.0/25", excluded=True),),
    )
    pairs = sorted(zip(labels, rules, strict=True))
    meters = tuple(Meter(id=id_, rules=found) for id_, found in pairs)
    cloud.until(lambda: services(agent, topology.router).meters == meters)
    agent.tell(meters=(MeterReport(router=topology.router, label=labels[0], packets=7, bytes=700),))
    _, told = cloud.v1("GET", "/metering")
    (one,) = told["metering"]
    assert (one["label_id"], one["router_name"], one["packets"], one["bytes"]) == (labels[0], "r", 7, 700)
    for label in labels:
        assert api.delete(f"/metering/metering-labels/{label}").status == 204
    cloud.until(lambda: services(agent, topology.router).meters == ())
    assert cloud.v1("GET", "/metering")[1] == {"metering": []}


def metered(cloud: Cloud, shared: bool = False, project_id: str | None = None, **rule: Any) -> str:
    """Make a label with one rule; return its id."""
    body: dict[str, Any] = {"shared": shared, **({"project_id": project_id} if project_id else {})}
    label = cloud.api.post("/metering/metering-labels", {"metering_label": body}).body["metering_label"]["id"]
    wanted = {"metering_label_id": label, **rule}
    made = cloud.api.post("/metering/metering-label-rules", {"metering_label_rule": wanted})
    assert made.status == 201, made
    return str(label)


def test_a_second_gateway_is_in_the_plan_and_used_for_everything_where_that_is_asked_for(
    cloud: Cloud,
) -> None:
    agent = cloud.agent("net1")
    api, topology = cloud.api, Topology(cloud.api)
    more = api.make("network", router__external=True)["id"]
    api.make("subnet", network_id=more, ip_version=4, cidr="198.18.0.0/24")
    path = f"/routers/{topology.router}"
    added = api.put(
        f"{path}/add_external_gateways", {"router": {"external_gateways": [{"network_id": more}]}}
    )
    assert added.status == 200, added

    def gateways() -> tuple[list[str], bool]:
        unit = router_on(agent, topology.router)
        return ([one.port.network for one in unit.more_gateways], unit.multipath) if unit else ([], False)

    cloud.until(lambda: gateways() == ([more], False))
    for multipath in (True, False):
        before = api.shown("router", topology.router)["revision_number"]
        changed = api.put(path, {"router": {"enable_default_route_ecmp": multipath}}).body["router"]
        assert changed["revision_number"] == before + 1
        cloud.until(lambda: gateways() == ([more], multipath))  # noqa: B023


def test_proxied_addresses_are_in_the_plan(cloud: Cloud) -> None:
    agent = cloud.agent("net1")
    six = Six(cloud.api)
    address = six.port["fixed_ips"][0]["ip_address"]
    cloud.api.put(f"/routers/{six.router}", {"router": {"enable_ndp_proxy": True}})
    cloud.until(lambda: services(agent, six.router) == Services(ndp_proxy=True))
    wanted = {"router_id": six.router, "port_id": six.port["id"]}
    assert cloud.api.post("/ndp_proxies", {"ndp_proxy": wanted}).status == 201
    expected = Services(ndp_proxy=True, proxied=(address,))
    cloud.until(lambda: services(agent, six.router) == expected)
    assert cloud.api.delete(f"/ports/{six.port['id']}").status == 204
    cloud.until(lambda: services(agent, six.router) == Services(ndp_proxy=True))


def test_address_scopes_are_in_the_plan(cloud: Cloud) -> None:
    """Those of the pools that subnets are from, also when a pool gets another one."""
    agent, api = cloud.agent("net1"), cloud.api
    first, second = (
        api.post("/address-scopes", {"address_scope": {"name": name, "ip_version": 4}}).body["address_scope"]
        for name in ("first", "second")
    )
    pool = api.make("subnetpool", name="p", prefixes=["10.9.0.0/16"], address_scope_id=first["id"])
    network = api.make("network", name="scoped")["id"]
    subnet = api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool["id"], prefixlen=24)
    router = api.make("router", name="scoped")["id"]
    api.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet["id"]})

    def scopes() -> list[tuple[str, str]]:
        unit = router_on(agent, router)
        return [one.scopes for one in unit.interfaces] if unit else []

    cloud.until(lambda: scopes() == [(first["id"], "")])
    path = f"/subnetpools/{pool['id']}"
    api.put(path, {"subnetpool": {"address_scope_id": second["id"]}})
    cloud.until(lambda: scopes() == [(second["id"], "")])
    api.put(path, {"subnetpool": {"address_scope_id": None}})
    cloud.until(lambda: scopes() == [("", "")])
