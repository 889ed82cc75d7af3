"""Subports where a guest is expected."""

from typing import Any

from deuteron.plan.units import Port
from tests.agents_api.conftest import Cloud


def test_subports_wait_where_their_parent_does(cloud: Cloud) -> None:
    api, agents = cloud.api, [cloud.agent(name) for name in ("net1", "net2")]
    parent, child = (api.make("port", network_id=api.make("network")["id"])["id"] for _ in range(2))
    sub = {"port_id": child, "segmentation_type": "vlan", "segmentation_id": 7}
    api.make("trunk", port_id=parent, sub_ports=[sub])
    guest = {"device_id": "vm-1", "device_owner": "compute:nova", "binding:host_id": "net1"}
    api.put(f"/ports/{parent}", {"port": guest})
    path = f"/ports/{parent}/bindings"

    def waits() -> list[Any]:
        found = [agent.stream.plan.get(f"port/{child}") for agent in agents]
        return [(one.waiting, one.parent, one.vlan) if isinstance(one, Port) else None for one in found]

    here, there = (False, parent, 7), (True, parent, 7)
    cloud.until(lambda: waits() == [here, None])
    assert api.post(path, {"binding": {"host": "net2"}}).status == 201
    cloud.until(lambda: waits() == [here, there])
    assert api.delete(f"{path}/net2").status == 204
    cloud.until(lambda: waits() == [here, None])
    api.post(path, {"binding": {"host": "net2"}})
    assert api.put(f"{path}/net2/activate", {}).status == 200
    cloud.until(lambda: waits() == [there, here])
    assert api.delete(f"{path}/net1").status == 204
    cloud.until(lambda: waits() == [None, here])
