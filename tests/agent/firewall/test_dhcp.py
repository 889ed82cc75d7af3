"""DHCP needs no rule: a port without a group gets its lease by both families."""

import pytest

from tests.agent.firewall.scene import port
from tests.agent.scene import DHCP, NETWORK, Scene, lease
from tests.agent.test_dhcp import ask6

pytestmark = pytest.mark.lab


def test_a_closed_port_gets_its_leases(here: Scene) -> None:
    here.server.put(NETWORK, DHCP, lease(5), port(5, addresses=("10.1.0.5", "fd00:1::5")))
    here.agent.options("--roles", "l2,dhcp")
    here.agent.start()
    here.settled()
    assert here.server.problems == {}
    vm = here.plug(5)
    assert "lease of 10.1.0.5 obtained from 10.1.0.2" in here.lease(vm)
    assert ask6(here, vm) == "fd00:1::5"
    here.host.run(f"ip -n {vm} address add 10.1.0.5/24 dev eth0")
    assert "0 received" in here.host.run("ping -n -c 1 -W 1 10.1.0.2 || true", vm), "no rule lets it out"
