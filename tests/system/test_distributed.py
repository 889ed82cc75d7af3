"""Ways through distributed routers for which the server has to see the whole.

Routers behind routers, addresses that no port has for its own, floating IPs where their instances are.
"""

import pytest

from deuteron.lab.scene import INTERNET
from tests.system.cloud import Cloud, Json, until

pytestmark = pytest.mark.lab
PAIR = "10.1.0.77"


def distributed(cloud: Cloud, name: str, external: str | None, *subnets: str) -> str:
    info = {"external_gateway_info": {"network_id": external}} if external else {}
    router = str(cloud.api.create("router", name=name, distributed=True, **info)["id"])
    for subnet in subnets:
        cloud.attach(router, subnet)
    return router


def location(cloud: Cloud, floating: Json) -> Json:
    found: Json = cloud.api.get(f"/v1/floatingips/{floating['id']}/location")
    return found


def test_the_server_sees_whom_a_distributed_router_needs(cloud: Cloud) -> None:
    """vm1 (blue, compute1) - r - red - s - far (vm3, compute2); vm2 is on red, on compute2."""
    external = cloud.external()
    blue, (blue4,) = cloud.network("blue", "10.1.0.0/24")
    red, (red4,) = cloud.network("red", "10.2.0.0/24")
    far, (far4,) = cloud.network("far", "10.3.0.0/24")
    router = distributed(cloud, "r", external, blue4, red4)
    second = str(cloud.api.create("router", name="s", distributed=True)["id"])
    fixed = [{"subnet_id": red4, "ip_address": "10.2.0.254"}]
    port = cloud.api.create("port", network_id=red, fixed_ips=fixed)["id"]
    cloud.api.put(f"/v2.0/routers/{second}/add_router_interface", {"port_id": port})
    cloud.attach(second, far4)
    vm1 = cloud.boot("vm1", "compute1", blue).instance
    vm2 = cloud.boot("vm2", "compute2", red).instance
    cloud.reaches("vm1", INTERNET)
    cloud.reaches("vm1", vm2.addresses[0])

    # Behind the second router: r leads to s, so vm1's host carries s as well.
    routes = [{"destination": "10.3.0.0/24", "nexthop": "10.2.0.254"}]
    cloud.api.put(f"/v2.0/routers/{router}", {"router": {"routes": routes}})
    routes = [{"destination": "10.1.0.0/24", "nexthop": "10.2.0.1"}]
    cloud.api.put(f"/v2.0/routers/{second}", {"router": {"routes": routes}})
    vm3 = cloud.boot("vm3", "compute2", far).instance
    cloud.reaches("vm1", vm3.addresses[0])
    cloud.reaches("vm3", vm1.addresses[0])
    assert f"qrouter-{second}" in cloud.sh("compute1", "ip netns list")

    # An address that no port has for its own.
    pairs = [{"ip_address": PAIR}]
    cloud.api.put(f"/v2.0/ports/{vm1.port}", {"port": {"allowed_address_pairs": pairs}})
    cloud.sh("vm1", f"ip address add {PAIR}/24 dev eth0")
    cloud.reaches("vm2", PAIR)

    # A floating IP on its instance's host, and centrally when the port is bound nowhere.
    floating = cloud.floating_ip(external, vm1.port)
    until(lambda: location(cloud, floating)["served"] == "distributed", "it is served on compute1")
    assert location(cloud, floating)["host"] == "compute1"
    cloud.reaches("outside", floating["floating_ip_address"])
    ways = "ip netns exec $(ip netns list | grep -o 'fip-[^ ]*') ip route"
    assert floating["floating_ip_address"] in cloud.sh("compute1", ways)
    assert not [key for host in ("compute1", "compute2", "net1") for key in cloud.problems(host)]
