"""The agents' managers start the copying, and connections live on through it, on hosts of their own."""

import json
from typing import Any

import pytest

from tests.agent.l3.hosts import Host, wait_for
from tests.agent.l3.scene import FLOATING, ROUTER, Scene, scene
from tests.agent.l3.tcp import PORT

pytestmark = pytest.mark.lab

NO_STRANGERS = "add table inet strict; add chain inet strict c { type filter hook forward priority 0; };" + (
    "add rule inet strict c ct state new tcp flags & (syn | ack) != syn drop"
)


def status(host: Host) -> dict[str, Any]:
    text = host.run("cat /run/deuteron/conntrack/status.json", check=False)
    found: dict[str, Any] = json.loads(text or "{}")
    return found


def established(host: Host) -> int:
    text = host.run(f"ip netns exec qrouter-{ROUTER} conntrack -L -p tcp --dport {PORT} 2>&1", check=False)
    return text.count("ESTABLISHED")


def build(made: Scene) -> None:
    made.build()
    for host in made.carriers:
        host.run(f"ip netns exec qrouter-{ROUTER} nft '{NO_STRANGERS}'")
    wait_for(lambda: status(made.net1).get("open") == 1 and status(made.net2).get("routers") == 1)


def test_connections_live_on_by_their_copies() -> None:
    with scene() as made:
        build(made)
        through_snat = made.connect(made.compute, "vm2", "203.0.113.1")
        through_floating = made.connect(made.outside, None, FLOATING)
        wait_for(lambda: established(made.net2) == 2, what="copies")
        made.net1.power_off()
        assert through_snat.echo()
        assert through_floating.echo()
        wait_for(lambda: status(made.net2)["open"] == 1)
