"""All that an agent can leave on a host, in a form that compares."""

import re
import time

from tests.system.cloud import Cloud, Json, until

_SCRIPT = r"""
echo "== namespaces"; ls /run/netns | sort
echo "== devices"; ip -o link show | sed 's/^[0-9]*: //; s/@[^:]*:/:/; s/ qlen [0-9]*//' | sort
echo "== alias"; grep -H . /sys/class/net/*/ifalias 2>/dev/null | sort
echo "== addresses"; ip -o address show | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
echo "== routes"; ip route show table all | sort
echo "== rules"; nft -s list ruleset | sed 's/ether saddr set .*/ether saddr set MAC-OF-THIS-BOOT/'
echo "== entries"; bridge fdb show | grep permanent | sort
echo "== processes"; ps -eo args= | sort
echo "== settings"; cd /proc/sys/net
grep -H . ipv4/conf/eth-*/forwarding ipv4/conf/eth-*/rp_filter ipv6/conf/eth-*/disable_ipv6 | sort
echo "== files"
find /run/deuteron /var/lib/deuteron -not -name '*.log*' -not \( -type d -empty -path '/run/*' \) | sort
echo "== daemons"; ls /run/deuteron/daemons | sort
"""
_PASSING = re.compile(r"ps -eo args=|^sort$|^sh -c .*namespaces|\.nfs|/lib/deuteron/plan\.new")


def hoststate(cloud: Cloud, host: str) -> dict[str, list[str]]:
    """Return everything on a host that a topology could leave: kind -> lines."""
    found: dict[str, list[str]] = {}
    kind = ""
    for line in cloud.sh(host, _SCRIPT).splitlines():
        if line.startswith("== "):
            kind = line[3:]
            found[kind] = []
        elif not _PASSING.search(line):
            found[kind].append(line)
    return found


def states(cloud: Cloud, names: list[str]) -> dict[str, dict[str, list[str]]]:
    """Return the state of hosts whose agents have their first plan and have applied it."""
    for name in names:
        until(lambda: (cloud.disk(name) / "plan.ndjson").exists(), f"{name} has a plan")  # noqa: B023
    time.sleep(0.5)
    return {name: hoststate(cloud, name) for name in names}


def difference(before: dict[str, list[str]], after: dict[str, list[str]]) -> Json:
    """Return what is there more and what less: kind -> lines."""
    found: Json = {}
    for kind in before:
        more = sorted(set(after[kind]) - set(before[kind]))
        less = sorted(set(before[kind]) - set(after[kind]))
        if more or less or len(before[kind]) != len(after[kind]):
            found[kind] = {"more": more, "less": less}
    return found
