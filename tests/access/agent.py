"""What of an agent speaks to the server, as a process: those threads go on for ever.

usage: agent.py SETTINGS, which are the agent's as JSON. Says "planned" when it has the plan of its host, and
then "reported" when a report has arrived.
"""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec

from deuteron.agent.follower import Follower
from deuteron.agent.reporter import Reporter
from deuteron.agent.settings import AgentSettings, parse
from deuteron.agent.status import Status
from deuteron.plan.units import Report


@contextlib.contextmanager
def agent(settings: AgentSettings) -> Iterator[Iterator[str]]:
    """Run one; the value are the words it says."""
    argv = [sys.executable, "-m", __name__, msgspec.json.encode(settings).decode()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield (line.strip() for line in process.stdout)
        finally:
            process.kill()


def main(settings: AgentSettings) -> None:
    parsed, status, planned = parse(settings), Status(), threading.Event()
    Follower(parsed.server, settings.host, "", lambda _: planned.set(), settings.token).start()
    assert planned.wait(100)
    print("planned", flush=True)
    before = status.delivered
    report = Report(started=1.0, roles=("l2",), vtep="127.0.0.1")
    Reporter(parsed.server, settings.host, 0.1, status, lambda _: report, settings.token).start()
    while status.delivered <= before:
        status.changed.wait(0.05)
    print("reported", flush=True)
    threading.Event().wait(60)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=AgentSettings))
