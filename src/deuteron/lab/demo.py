"""The demonstration: a self-service network that survives the death of a host, with measured figures."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deuteron.lab import enter, instances, lab, scene
from deuteron.lab.modes import Mode
from deuteron.lab.probing import Prober
from deuteron.lab.scene import INTERNET, Scene
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError

LEASE_SECONDS = 3.0
NETWORK_HOSTS = 3
LEAD_SECONDS = 1.0
"""Of undisturbed traffic before something is done to it."""
AFTER_TAKEOVER_SECONDS = 2.0
"""Of traffic after the latest that somebody else may take over."""
AFTER_MOVE_SECONDS = 1.5
PINGS = 10
FLOWS = ("SNAT", "floating IP", "east-west")
"""From vm2 to the internet, from there to vm1, and from vm1 to vm4 in another network."""


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
    mode: Mode
    say: Callable[[str], None]
    report: Report

    @property
    def candidates(self) -> int:
        """How many hosts carry the central part of the router when all are well."""
        return self.mode.candidates(NETWORK_HOSTS)


@dataclass(frozen=True)
class Built:
    """What there is to be probed."""

    scene: Scene
    floating_ip: str
    """Of vm1."""
    neighbour: str
    """The address of vm4, in the other network."""


def run(where: Lab, mode: Mode, say: Callable[[str], None]) -> Report:
    """Show it all in a lab that does not exist yet; return the report. Raises LabError.

    The lab is left up: whoever calls takes it down, also when this is interrupted.
    """
    stage = Stage(where, mode, say, Report())
    begin = time.monotonic()
    say("bringing up seven hosts")
    lab.up(where)
    stage.report.lines.append(
        f"Seven hosts, their server and agents: up in {time.monotonic() - begin:.1f} s."
    )
    built = _network(stage)
    victim = _crash(stage, built)
    _move(stage, built, victim)
    _dhcp(stage, built.scene, victim)
    stage.report.lines += ["", f"In all {time.monotonic() - begin:.0f} s."]
    return stage.report


def _network(stage: Stage) -> Built:
    """Build the networks and their instances."""
    report = stage.report
    report.heading("A network of one's own")
    stage.say(f"creating networks, subnets and a router of mode {stage.mode.name}")
    begin = time.monotonic()
    built = scene.build(lab.client(stage.lab), stage.mode)
    servers = scene.two_dhcp_servers(built)
    active = scene.settled(built, stage.candidates)
    report.add("network, router and DHCP", f"ready {time.monotonic() - begin:.2f} s after the first API call")
    report.add("DHCP servers", " and ".join(f"{host} ({a})" for a, host in sorted(servers.items())))
    standby = sorted(host for host, state in scene.ha_states(built).items() if state == "standby")
    waiting = f"standing by on {' and '.join(standby)}" if standby else "nobody stands by"
    part = "the central part" if stage.mode.distributed else "the router"
    report.add(part, f"active on {active}, {waiting}")
    booted = []
    places = (
        ("vm1", "compute1", built.network),
        ("vm2", "compute2", built.network),
        ("vm4", "compute2", built.second),
    )
    for name, host, network in places:
        stage.say(f"booting {name} on {host}")
        booted.append(instances.boot(stage.lab, name, host, network=network))
        _report_boot(report, booted[-1], scene.dhcp_servers(built, network))
    first, neighbour = booted[0].instance, booted[2].instance.addresses[0]
    address = scene.floating_ip(built, first.port)
    stage.say("trying every way through the network")
    _report_ping(stage, "vm1 to vm2, over VXLAN", "vm1", booted[1].instance.addresses[0])
    _report_ping(stage, "vm2 to the internet, through SNAT", "vm2", INTERNET)
    _report_ping(stage, f"the internet to vm1, on {address}", "outside", address)
    _report_ping(stage, "vm1 to vm4, in another network", "vm1", neighbour)
    return Built(built, address, neighbour)


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
def _probing(stage: Stage, built: Built) -> Iterator[list[Prober]]:
    """Probe all flows, each by UDP and by TCP."""
    probers: list[Prober] = []
    try:
        ways = (("vm2", INTERNET), ("outside", built.floating_ip), ("vm1", built.neighbour))
        for place, target in ways:
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


def _crash(stage: Stage, built: Built) -> str:
    """Cut the power of the host that carries the router's central part; return that host."""
    mode = stage.mode
    victim = scene.settled(built.scene, stage.candidates)
    what = "the router's central part" if mode.distributed else "the router"
    stage.say(f"cutting the power of {victim}, which carries {what}")
    stage.report.heading(f"Power cut on {victim}, which carried {what}")
    with _probing(stage, built) as probers:
        cut = time.monotonic()
        lab.power_off(stage.lab, victim)
        time.sleep(max(0.0, cut + mode.takeover_ms / 1000 + AFTER_TAKEOVER_SECONDS - time.monotonic()))
        results = _results(probers)
    for flow, udp, tcp in results:
        if mode.distributed and flow != FLOWS[0]:
            _report_lossless(stage.report, flow, udp)
        else:
            gap = udp["longest_gap_ms"]
            value = f"{gap:.0f} ms ({udp['lost']} of {udp['sent']} packets)"
            # No gap at all would mean that the router was not there.
            held = 0 < gap < mode.takeover_ms
            stage.report.add(f"{flow}: gap", value, f"below {mode.takeover_ms:.0f} ms", held)
        _report_tcp(stage.report, flow, tcp)
    left = stage.mode.candidates(NETWORK_HOSTS - 1)
    stage.report.add(
        what.removesuffix("'s central part"), f"now active on {scene.settled(built.scene, left)}"
    )
    return victim


def _report_lossless(report: Report, flow: str, udp: dict[str, Any]) -> None:
    value = f"{udp['lost']} of {udp['sent']}, one every {udp['interval_ms']:.0f} ms there and back"
    report.add(f"{flow}: packets lost", value, "0", udp["lost"] == 0)


def _move(stage: Stage, built: Built, host: str) -> None:
    """Give the host its power back and move the router to it."""
    before = scene.started_at(built.scene, host)
    stage.say(f"giving {host} its power back")
    lab.power_on(stage.lab, host)
    scene.back(built.scene, host, before)
    scene.settled(built.scene, stage.candidates)
    stage.say(f"moving the router back to {host} on purpose")
    stage.report.heading(f"Power back; router moved to {host} on purpose")
    with _probing(stage, built) as probers:
        done = scene.move(built.scene, host)
        time.sleep(AFTER_MOVE_SECONDS)
        results = _results(probers)
    stage.report.add("the move", f"took {done['seconds'] * 1000:.0f} ms")
    for flow, udp, tcp in results:
        _report_lossless(stage.report, flow, udp)
        _report_tcp(stage.report, flow, tcp)
    active = scene.settled(built.scene, stage.candidates)
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
