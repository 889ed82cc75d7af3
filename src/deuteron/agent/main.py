"""The agent of one host: its parts, wired."""

import fcntl
import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from deuteron import __version__
from deuteron.agent import l3, preflight
from deuteron.agent.context import Context
from deuteron.agent.dhcp.manager import DhcpManager
from deuteron.agent.firewall.manager import FirewallManager
from deuteron.agent.follower import Follower
from deuteron.agent.l2 import Layer2
from deuteron.agent.l2.bridge import BridgeManager
from deuteron.agent.l2.local_ips import LocalIPs
from deuteron.agent.l2.subports import SubportManager
from deuteron.agent.l3.departures import Departures
from deuteron.agent.manager import Manager
from deuteron.agent.metadata.manager import MetadataManager
from deuteron.agent.packetlog import reader as packet_log
from deuteron.agent.packetlog.manager import PacketLogs
from deuteron.agent.plan import PlanFile
from deuteron.agent.qos import features
from deuteron.agent.qos.manager import QosManager
from deuteron.agent.qos.routers import AddressLimits
from deuteron.agent.reconciler import Reconciler
from deuteron.agent.reporter import Reporter
from deuteron.agent.settings import AgentSettings, NetworkLogSettings, ParsedSettings, parse
from deuteron.agent.status import News, Status
from deuteron.agent.system.daemons import Daemons
from deuteron.agent.system.links import LinkMonitor
from deuteron.config import ConfigError
from deuteron.plan.units import Report

log = logging.getLogger(__name__)


def run(settings: AgentSettings, network_log: NetworkLogSettings) -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit status. Raises ConfigError.

    The data plane and the daemons go on without it.
    """
    parsed = parse(settings)
    run_dir, state_dir = Path(settings.run_dir), Path(settings.state_dir)
    lock = _lock(run_dir)
    if lock is None:
        log.error("another agent runs in %s: stop it first, or set run_dir", run_dir)
        return 1
    lacks = preflight.missing(parsed)
    for words in lacks:
        log.error("%s", words)
    if lacks:
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    status = Status()
    daemons = Daemons(run_dir, on_change=status.changed.set)
    status.watch_problems(daemons.problems)
    context = Context(
        host=parsed.host,
        local_ip=parsed.local_ip,
        bridge_mappings=parsed.bridge_mappings,
        run_dir=run_dir,
        state_dir=state_dir,
        daemons=daemons,
        status=status,
        dscp_inherit=settings.dscp_inherit,
        log_limit=network_log.limit,
    )
    _start(settings, parsed, context, _packet_output(network_log))
    stop.wait()
    log.info("stopping; the data plane goes on")
    return 0


def _packet_output(network_log: NetworkLogSettings) -> Callable[[str], None]:
    path = network_log.local_output_log_base
    try:
        return packet_log.output(path)
    except OSError as error:
        raise ConfigError(f"[network_log] local_output_log_base = {path!r}: {error.strerror}") from None


def _start(
    settings: AgentSettings, parsed: ParsedSettings, context: Context, write_packet: Callable[[str], None]
) -> None:
    firewall = FirewallManager(context.log_limit)
    l2: Layer2 = BridgeManager(context, firewall.refusal)
    subports = SubportManager()
    if lacks := features.lacks():
        log.warning("%s; ports, floating IPs and gateways have no such limits here", lacks)
    qos = QosManager(lacks)
    local_ips = LocalIPs()
    packets = packet_log.Reader(firewall.port_of, write_packet)
    first: list[Manager] = [Departures(context)] if "l3" in parsed.roles else []
    rest = _managers(settings, parsed, context, lacks)
    managers: list[Manager] = [*first, firewall, subports, l2, local_ips, qos, *rest, PacketLogs(packets)]
    plan_file = PlanFile(context.state_dir / "plan.ndjson", context.run_dir / "plan-confirmed")
    reconciler = Reconciler(plan_file, managers, context.status)

    watchers: list[Layer2] = [
        firewall,
        subports,
        l2,
        local_ips,
        qos,
        *(manager for manager in managers if isinstance(manager, MetadataManager)),
    ]

    l3.connect(managers, reconciler.wake)

    def device_changed(name: str) -> None:
        for watcher in watchers:
            if watcher.concerns(name):
                reconciler.wake(watcher, partial(watcher.device_changed, name))

    threads: list[threading.Thread] = [
        packets,
        LinkMonitor(device_changed, reconciler.recheck),
        reconciler,
        Follower(parsed.server, parsed.host, reconciler.revision, reconciler.submit, settings.token),
        Reporter(
            parsed.server,
            parsed.host,
            settings.report_interval,
            context.status,
            _report_writer(settings, parsed),
            settings.token,
        ),
    ]
    log.info("agent of %s, roles %s, underlay %s", parsed.host, ",".join(parsed.roles), parsed.local_ip)
    for thread in threads:
        thread.start()


def _managers(settings: AgentSettings, parsed: ParsedSettings, context: Context, lacks: str) -> list[Manager]:
    """Return what the roles ask for, in the order in which one builds on the other.

    `lacks` says why this host cannot limit bandwidth.
    """
    managers: list[Manager] = []
    if "l3" in parsed.roles:
        managers += l3.managers(context, settings.uplink_check_interval, settings.measure_interval)
        managers.append(AddressLimits(lacks))
    if "dhcp" in parsed.roles:
        managers.append(DhcpManager(context, settings.dhcp_lease_duration))
    if "metadata" in parsed.roles:
        managers.append(MetadataManager(context, settings))
    return managers


def _report_writer(settings: AgentSettings, parsed: ParsedSettings) -> Callable[[News], Report]:
    started = time.time()

    def write(news: News) -> Report:
        return Report(
            started=started,
            roles=parsed.roles,
            vtep=parsed.local_ip,
            physical_networks=tuple(sorted(parsed.bridge_mappings)),
            revision=news.revision,
            ports_up=news.ports_up,
            ports_down=news.ports_down,
            full=news.full,
            elections=news.elections,
            problems=news.problems,
            zone=settings.zone,
            version=__version__,
            contests=news.contests,
            uplinks=news.uplinks,
            copying=news.copying,
            meters=news.meters,
            agent_mode=settings.agent_mode,
        )

    return write


def _lock(run_dir: Path) -> IO[str] | None:
    """Return a file that stays locked while it is referred to; None when another agent holds it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    file = (run_dir / "agent.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
