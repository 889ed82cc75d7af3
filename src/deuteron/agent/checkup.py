"""What is wrong with this host, or could be better, before something fails: each finding with its fix."""

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from deuteron.agent import preflight
from deuteron.agent.qos import features
from deuteron.agent.settings import AgentSettings, ParsedSettings, parse
from deuteron.agent.system import ip
from deuteron.agent.system.errors import SystemCommandError
from deuteron.config import ConfigError
from deuteron.findings import Finding, judge

GROUP = "this host"
MISSED_ADVERTS = 3
_SCHED = Path("/proc/sys/kernel")
_TIME_ERROR = 5
_TIMEX_BYTES = 512
_VXLAN_OVER = {"inet": 0, "inet6": 20}
"""Bytes that VXLAN needs on the underlay besides those that `global_physnet_mtu` allows for."""


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says that a host's settings must fit."""

    agent_down_time: float
    global_physnet_mtu: int
    ha_vrrp_advert_ms: int


def check(settings: AgentSettings, cloud: Cloud | None) -> list[Finding]:
    """Return what is found here, what is well included; `cloud` is None when the server does not answer."""
    try:
        parsed = parse(settings)
    except ConfigError as error:
        return [judge(GROUP, "", str(error), "in /etc/deuteron/deuteron.toml, or --config FILE")]
    return [
        *_lacks(parsed),
        *_clock(),
        *(_real_time(cloud) if "l3" in parsed.roles else ()),
        *(_uplinks(settings) if "l3" in parsed.roles else ()),
        *(_fits(settings, parsed, cloud) if cloud else ()),
    ]


def _lacks(parsed: ParsedSettings) -> Iterator[Finding]:
    lacks = preflight.missing(parsed)
    for words in lacks:
        text, _, fix = words.partition(": ")
        yield judge(GROUP, "", text, fix)
    if not lacks:
        roles = ", ".join(parsed.roles)
        yield judge(GROUP, f"programs, kernel features and devices for {roles} are there", None)
        wrong, _, fix = features.lacks().partition(": ")
        yield judge(GROUP, "the kernel can limit bandwidth", wrong or None, fix, warn=True)


def _clock() -> Iterator[Finding]:
    """Ask the kernel whether something keeps its clock right."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state >= 0:
        wrong = "nothing synchronises the clock" if state == _TIME_ERROR else None
        fix = "apt-get install chrony"
        yield judge(GROUP, "the clock is synchronised", wrong, fix, warn=True)


def _real_time(cloud: Cloud | None) -> Iterator[Finding]:
    """Judge whether what holds the elections runs when it must."""
    refused = _real_time_refused()
    yield judge(
        GROUP,
        "real-time priority is granted",
        f"real-time priority is refused: {refused}" if refused else None,
        "run it as root, with CAP_SYS_NICE, in a control group that has a real-time budget",
    )
    period, runtime = (_number(_SCHED / f"sched_rt_{name}_us") for name in ("period", "runtime"))
    advert = cloud.ha_vrrp_advert_ms if cloud else 20
    if period is None or runtime is None:
        return
    pause = 0.0 if runtime < 0 else (period - runtime) / 1000
    told = f"real-time processes that are busy pause for {pause:g} ms in {period / 1000:g} ms"
    patience = MISSED_ADVERTS * advert
    wrong = f"{told}: longer than {patience} ms, so that others take over" if pause >= patience else None
    yield judge(GROUP, told, wrong, "sysctl -w kernel.sched_rt_runtime_us=950000")


def _real_time_refused() -> str:
    """Try it in a thread of its own; return why it is refused, "" if it is not."""
    found: list[str] = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError as error:
            found.append(error.strerror or str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return "".join(found)


def _uplinks(settings: AgentSettings) -> Iterator[Finding]:
    interval = settings.uplink_check_interval
    wrong = None if interval else "next hops are not asked: a router stays on a host whose way out is lost"
    good = f"the next hops of routers are asked every {interval:g} s"
    yield judge(GROUP, good, wrong, "[agent] uplink_check_interval = 1", warn=True)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _fits(settings: AgentSettings, parsed: ParsedSettings, cloud: Cloud) -> Iterator[Finding]:
    """Judge whether this host's settings fit those of the server."""
    report, down = settings.report_interval, cloud.agent_down_time
    text = f"it reports every {report:g} s, and is dead to the server after {down:g} s of silence"
    wrong = f"{text}: one lost report makes it dead" if down < 2 * report else None
    yield judge(GROUP, text, wrong, f"[agent] report_interval = {down / 4:g}")
    device, kind = _underlay(parsed.local_ip)
    if device:
        name, mtu = device["ifname"], device["mtu"]
        needed = cloud.global_physnet_mtu + _VXLAN_OVER[kind]
        small = f"{name} has an MTU of {mtu}, VXLAN needs {needed}: large packets are lost"
        yield judge(
            GROUP,
            f"the underlay's MTU is {mtu}, enough for VXLAN",
            small if mtu < needed else None,
            f"ip link set {name} mtu {needed}, or [server] global_physnet_mtu = {mtu - _VXLAN_OVER[kind]}",
        )


def _underlay(address: str) -> tuple[dict[str, Any], str]:
    """Return the device that has an address, as `ip` shows it, and the address's family."""
    try:
        links = ip.show("address show")
    except SystemCommandError:
        return {}, ""
    for link in links:
        for info in link.get("addr_info", []):
            if info.get("local") == address:
                return link, info["family"]
    return {}, ""
