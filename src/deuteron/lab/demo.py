"""The demonstration: a self-service network that survives the death of a host, with measured figures."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deuteron.lab import enter, instances, lab, scene
from deuteron.lab.probing import Prober
from deuteron.lab.scene import INTERNET, Scene
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError

CRASH_GAP_MS = 1000.0
LEASE_SECONDS = 3.0
CANDIDATES = 3
LEAD_SECONDS = 1.0
"""Of undisturbed traffic before something is done to it."""
AFTER_CRASH_SECONDS = 3.0
AFTER_MOVE_SECONDS = 1.5
PINGS = 10
FLOWS = ("SNAT", "floating IP")


@dataclass
class Report:
    """What was found, line by line, and what did not hold."""

    lines: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, what: str, value: str, bound: str = "", held: bool = True) -> None:
        """Note a finding, with the bound that it must keep."""
        mark = "" if not bound else f"   ({'held' if held else 'NOT HELD'}: {bound})"
        self.lines.append(f"  {what:<44} {value}{mark}")
        if not held:
            self.broken.append(f"{what}: {value}, must be {bound}")

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.lines += ["", text]


@dataclass(frozen=True)
class Stage:
    """What the steps share."""

    lab: Lab
    say: Callable[[str], None]
    report: Report


def run(where: Lab, say: Callable[[str], None]) -> Report:
    """Show it all in a lab that does not exist yet; return the report. Raises LabError.

    The lab is left up: whoever calls takes it down, also when this is interrupted.
    """
    stage = Stage(where, say, Report())
    begin = time.monotonic()
    say("bringing up seven hosts")
    lab.up(where)
    stage.report.lines.append(
        f"Seven hosts, their server and agents: up in {time.monotonic() - begin:.1f} s."
    )
    built, address = _network(stage)
    victim = _crash(stage, built, address)
    _move(stage, built, address, victim)
    _dhcp(stage, built, victim)
    stage.report.lines += ["", f"In all {time.monotonic() - begin:.0f} s."]
    return stage.report


def _network(stage: Stage) -> tuple[Scene, str]:
    """Build the network and its instances; return it and the floating IP."""
    report = stage.report
    report.heading("A network of one's own")
    stage.say("creating networks, subnets and a redundant router")
    begin = time.monotonic()
    built = scene.build(lab.client(stage.lab))
    servers = scene.two_dhcp_servers(built)
    active = scene.settled(built, CANDIDATES)
    report.add("network, router and DHCP", f"ready {time.monotonic() - begin:.2f} s after the first API call")
    report.add("DHCP servers", " and ".join(f"{host} ({a})" for a, host in sorted(servers.items())))
    states = scene.ha_states(built)
    standby = sorted(host for host, state in states.items() if state == "standby")
    report.add("the router", f"active on {active}, standing by on {' and '.join(standby)}")
    booted = []
    for name, host in (("vm1", "compute1"), ("vm2", "compute2")):
        stage.say(f"booting {name} on {host}")
        booted.append(instances.boot(stage.lab, name, host, network=built.network))
        _report_boot(report, booted[-1], servers)
    first = booted[0].instance
    address = scene.floating_ip(built, first.port)
    stage.say("trying every way through the network")
    _report_ping(stage, "vm1 to vm2, over VXLAN", "vm1", booted[1].instance.addresses[0])
    _report_ping(stage, "vm2 to the internet, through SNAT", "vm2", INTERNET)
    _report_ping(stage, f"the internet to vm1, on {address}", "outside", address)
    return built, address


def _report_boot(report: Report, booted: instances.Booted, servers: dict[str, str]) -> None:
    machine, instance = booted.machine, booted.instance
    server = machine["dhcp_server"]
    lease = f"{machine['address']} from {servers.get(server, server)} in {machine['lease_seconds']:.2f} s"
    told = machine["metadata"]
    metadata = f"metadata in {machine['metadata_seconds']:.2f} s"
    report.add(f"{instance.name} on {instance.host}", f"{lease}, {metadata}")
    if machine["address"] not in instance.addresses:
        report.broken.append(f"{instance.name} has the address {machine['address']}, not its port's")
    if (told.get("uuid"), told.get("name")) != (instance.device_id, instance.name):
        report.broken.append(f"{instance.name} was told another instance's metadata: {told}")


def _report_ping(stage: Stage, what: str, place: str, target: str) -> None:
    """Ping until there is an answer, then measure. Raises LabError when there is none."""
    pid = lab.locate(stage.lab, place)

    def ping(count: int) -> "subprocess.CompletedProcess[str]":
        argv = ["ping", "-n", "-q", "-i", "0.05", "-W", "1", "-c", str(count), target]
        return subprocess.run(enter.command(pid, argv), capture_output=True, text=True, check=False)

    scene.wait(lambda: ping(1).returncode == 0, lambda: f"{what}: no answer from {target}", 15)
    said = ping(PINGS).stdout
    answered = int(said.partition(" received")[0].rpartition(" ")[2])
    average = float(said.rpartition("=")[2].split("/")[1]) if answered else 0.0
    value = f"{answered} of {PINGS} pings answered, {average:.2f} ms on average"
    stage.report.add(what, value, "all", answered == PINGS)


@contextlib.contextmanager
def _probing(stage: Stage, address: str) -> Iterator[list[Prober]]:
    """Probe through SNAT from vm2 and through the floating IP from outside, each by UDP and by TCP."""
    probers: list[Prober] = []
    try:
        for place, target in (("vm2", INTERNET), ("outside", address)):
            probers.append(Prober(stage.lab, place, [f"udp:{target}", f"tcp:{target}"]))
        for prober in probers:
            prober.wait_ready()
        time.sleep(LEAD_SECONDS)
        yield probers
    finally:
        for prober in probers:
            prober.kill()


def _results(probers: Sequence[Prober]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Stop and return (flow, UDP result, TCP result) for each."""
    found = [prober.stop() for prober in probers]
    return [(flow, udp, tcp) for flow, (udp, tcp) in zip(FLOWS, found, strict=True)]


def _report_tcp(report: Report, flow: str, tcp: dict[str, Any]) -> None:
    survived = f"survived, longest pause {tcp['longest_stall_ms']:.0f} ms"
    value = survived if tcp["survived"] else f"broke: {tcp['error']}"
    report.add(f"{flow}: open TCP connection", value, "survives", tcp["survived"])


def _crash(stage: Stage, built: Scene, address: str) -> str:
    """Cut the power of the host that carries the router; return that host."""
    victim = scene.settled(built, CANDIDATES)
    stage.say(f"cutting the power of {victim}, which carries the router")
    stage.report.heading(f"Power cut on {victim}, which carried the router")
    with _probing(stage, address) as probers:
        cut = time.monotonic()
        lab.power_off(stage.lab, victim)
        time.sleep(max(0.0, cut + AFTER_CRASH_SECONDS - time.monotonic()))
        results = _results(probers)
    for flow, udp, tcp in results:
        gap = udp["longest_gap_ms"]
        value = f"{gap:.0f} ms ({udp['lost']} of {udp['sent']} packets)"
        # No gap at all would mean that the router was not there.
        held = 0 < gap < CRASH_GAP_MS
        stage.report.add(f"{flow}: gap", value, f"below {CRASH_GAP_MS:.0f} ms", held)
        _report_tcp(stage.report, flow, tcp)
    stage.report.add("the router", f"now active on {scene.settled(built, CANDIDATES - 1)}")
    return victim


def _move(stage: Stage, built: Scene, address: str, host: str) -> None:
    """Give the host its power back and move the router to it."""
    before = scene.started_at(built, host)
    stage.say(f"giving {host} its power back")
    lab.power_on(stage.lab, host)
    scene.back(built, host, before)
    scene.settled(built, CANDIDATES)
    stage.say(f"moving the router back to {host} on purpose")
    stage.report.heading(f"Power back; router moved to {host} on purpose")
    with _probing(stage, address) as probers:
        done = scene.move(built, host)
        time.sleep(AFTER_MOVE_SECONDS)
        results = _results(probers)
    stage.report.add("the move", f"took {done['seconds'] * 1000:.0f} ms")
    for flow, udp, tcp in results:
        value = f"{udp['lost']} of {udp['sent']}, one every {udp['interval_ms']:.0f} ms there and back"
        stage.report.add(f"{flow}: packets lost", value, "0", udp["lost"] == 0)
        _report_tcp(stage.report, flow, tcp)
    active = scene.settled(built, CANDIDATES)
    stage.report.add("the router", f"active on {active}", f"active on {host}", active == host)


def _dhcp(stage: Stage, built: Scene, router_host: str) -> None:
    """Cut the power of a DHCP host and boot an instance at once."""
    serving = scene.dhcp_hosts(built)
    if len(serving) < 2:
        raise LabError(f"two hosts should serve DHCP; now {serving} do")
    victim = next((host for host in serving if host != router_host), serving[0])
    stage.say(f"cutting the power of {victim}, one of the two DHCP servers, and booting vm3")
    stage.report.heading(f"Power cut on {victim}, one of the two DHCP servers")
    lab.power_off(stage.lab, victim)
    booted = instances.boot(stage.lab, "vm3", "compute1", network=built.network)
    _report_boot(stage.report, booted, scene.dhcp_servers(built))
    seconds = booted.leased_after_seconds
    if seconds is None:
        raise LabError("vm3 has no lease")
    value = f"{seconds:.2f} s after its port was asked for"
    lab.power_on(stage.lab, victim)
    stage.report.add("a new instance's lease", value, f"below {LEASE_SECONDS:.0f} s", seconds < LEASE_SECONDS)
