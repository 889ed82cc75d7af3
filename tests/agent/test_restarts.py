"""The data plane outlives the agent, and both outlive the server."""

import re
import time
from functools import partial

import pytest

from tests.agent.host import eventually
from tests.agent.scene import DHCP, NETWORK, Scene, instance, lease, port

pytestmark = pytest.mark.lab


def is_told(here: Scene, reports: int) -> bool:
    return any(report.revision for report in here.server.reports[reports:])


def start_traffic(here: Scene) -> list[str]:
    here.agent.start()
    here.server.put(NETWORK, DHCP, *(unit(n) for n in (5, 6) for unit in (port, lease, instance)))
    here.settled()
    for n in (5, 6):
        here.host.run(f"ip address add 10.1.0.{n}/24 dev eth0", here.plug(n))
    eventually(lambda: "1 received" in here.host.run("ping -c 1 -W 1 10.1.0.6", "vm5", check=False))
    return here.processes()


def test_kills_and_restarts_cost_no_packet_and_no_daemon(here: Scene) -> None:
    daemons = start_traffic(here)
    ping = here.host.popen(["ping", "-i", "0.005", "-q", "10.1.0.6"], "vm5", stdout=-1)
    for step in range(4):
        here.agent.kill()
        if step == 1:
            here.server.stop()
        if step == 2:
            here.server.serve(here.host.listen(9696))
        told = len(here.server.reports)
        here.agent.start()
        if step != 1:
            eventually(partial(is_told, here, told))
        time.sleep(0.5)
    here.host.run("kill -INT $(pgrep ping)")
    said = ping.communicate(timeout=20)[0]
    sent, received = map(int, re.findall(r"(\d+) (?:packets transmitted|received)", said))
    assert sent > 200
    # The last one may be under way when ping is told to stop.
    assert sent - received <= 1
    assert here.processes() == daemons
