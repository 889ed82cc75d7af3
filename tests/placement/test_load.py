"""The host that carries least is found by what is counted; routers are spread by where they are active."""

from collections import Counter

import pytest

from deuteron.placement import cloud as clouds
from tests.placement.cloud import Cloud
from tests.placement.steps import active, another, dhcp_hosts, move


@pytest.mark.parametrize(
    ("load_type", "expected"),
    [("networks", ["net1", "net2"]), ("subnets", ["net2", "net1"]), ("ports", ["net1", "net1"])],
)
def test_what_counts_as_load_of_dhcp(database_url: str, load_type: str, expected: list[str]) -> None:
    cloud = Cloud(database_url, ("net1", "net2"), dhcp_agents_per_network=1, dhcp_load_type=load_type)
    try:

        def served(cidr: str) -> str:
            network = cloud.network(cidr)["id"]
            cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 1)
            return str(network)

        wide = served("10.0.0.0/24")
        cloud.create("subnets", network_id=wide, ip_version=4, cidr="10.1.0.0/24")
        full = served("10.2.0.0/24")
        for _ in range(4):
            cloud.create("ports", network_id=full)
        assert (dhcp_hosts(cloud, wide), dhcp_hosts(cloud, full)) == (["net1"], ["net2"])
        after = [served(f"10.{number}.0.0/24") for number in (3, 4)]
        assert [dhcp_hosts(cloud, network)[0] for network in after] == expected
    finally:
        cloud.close()


def test_active_routers_count_where_they_are_active(three: Cloud) -> None:
    made = [three.create("routers", ha=True)["id"] for _ in range(3)]
    three.until(lambda: all(active(three, id_) for id_ in made))
    first, host = made[0], str(active(three, made[0]))
    target = another(three, host)
    move(three, first, target)
    load = three.db.read_now(lambda tx: clouds.load_of(tx, "l3"))
    assert load.led == Counter(active(three, id_) for id_ in made) == {target: 2, **_one(three, host, target)}
    assert set(load.carried.values()) == {3}
    new = three.create("routers", ha=True)["id"]
    three.until(lambda: active(three, new))
    assert active(three, new) == host, "it has none"


def _one(cloud: Cloud, *others: str) -> dict[str, int]:
    return {name: 1 for name in cloud.agents if name not in others}
