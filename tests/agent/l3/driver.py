"""Runs in a test's host: builds the units that come in by lines, as the agent's reconcile thread does."""

import logging
import sys
from pathlib import Path

import msgspec

from deuteron.agent import l3
from deuteron.agent.context import Context
from deuteron.agent.firewall.manager import FirewallManager
from deuteron.agent.l2.bridge import BridgeManager
from deuteron.agent.l3.departures import Departures
from deuteron.agent.manager import Manager
from deuteron.agent.status import Status
from deuteron.agent.system.daemons import Daemons
from deuteron.plan import units


def apply(managers: list[Manager]) -> dict[str, str]:
    problems = [manager.apply() for manager in managers]
    while any(manager.pending for manager in managers):
        for number, manager in enumerate(managers):
            if manager.pending or problems[number]:
                problems[number] = manager.apply()
    return {key: words for found in problems for key, words in found.items()}


def tell(status: Status, what: str) -> object:
    status.tell_all()
    news = status.take()
    return news.ports_up if what == "ports" else {report.id: report for report in news.elections}


def main(host: str, local_ip: str, *rooms: str) -> None:
    logging.basicConfig(level=logging.INFO)
    run_dir = Path("/run/deuteron")
    context = Context(
        host=host,
        local_ip=local_ip,
        bridge_mappings={"external": "eth-ext"},
        run_dir=run_dir,
        state_dir=Path("/run/state"),
        daemons=Daemons(run_dir),
        status=Status(),
    )
    managers = l3.managers(context, 0)
    if "l2" in rooms:
        firewall = FirewallManager("rate 100/second burst 25 packets")
        managers = [Departures(context), firewall, BridgeManager(context, firewall.refusal), *managers]
    for line in sys.stdin:
        message = msgspec.json.decode(line)
        answer: object = True
        match message["op"]:
            case "put":
                put = msgspec.json.decode(line, type=units.Put)
                for manager in managers:
                    if isinstance(put.unit, manager.kinds):
                        manager.put(put.unit)
            case "delete":
                for manager in managers:
                    manager.delete(message["key"])
            case "apply":
                answer = apply(managers)
            case "recheck":
                for manager in managers:
                    manager.recheck()
            case "elections" | "ports":
                answer = tell(context.status, message["op"])
        print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
