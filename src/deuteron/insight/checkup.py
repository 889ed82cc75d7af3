"""What is wrong, or could be better, with the settings and the whole: pure rules, each with its fix."""

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from deuteron.findings import Finding, judge
from deuteron.insight import status
from deuteron.insight.picture import Host, Picture, look
from deuteron.placement import ha
from deuteron.resources import attachments
from deuteron.resources.call import Call
from deuteron.resources.hosts import CENTRAL_MODES
from deuteron.settings import ServerSettings

VRRP_STEP_MS = 10
SLOW_TAKEOVER_MS = 1000
NEARLY = 0.8
AHEAD_SECONDS = 2.0


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and what hosts compare their own settings with."""

    findings: list[Finding]
    agent_down_time: float
    global_physnet_mtu: int
    ha_vrrp_advert_ms: int


def of_all(call: Call) -> Checkup:
    """Check the settings and the whole."""
    settings = call.settings
    return Checkup(
        findings=check(settings, look(call)),
        agent_down_time=settings.agent_down_time,
        global_physnet_mtu=settings.global_physnet_mtu,
        ha_vrrp_advert_ms=settings.ha_vrrp_advert_ms,
    )


def check(settings: ServerSettings, picture: Picture) -> list[Finding]:
    """Return what is found, what is well included."""
    return [
        *_settings(settings),
        *_hosts(picture),
        *_spare(settings, picture),
        *_zones(picture),
        *_redundancy(picture),
        *_ha_networks(picture),
    ]


def _settings(settings: ServerSettings) -> Iterator[Finding]:
    yield _silence(settings)
    yield from _adverts(settings)
    yield _candidates(settings)
    yield _servers(settings)
    yield _replacement(settings)
    yield _access(settings)


def _silence(settings: ServerSettings) -> Finding:
    down, report = settings.agent_down_time, settings.report_interval
    text = f"an agent reports every {report:g} s and is dead after {down:g} s of silence"
    wrong = f"{text}: one lost report makes a dead host" if down < 2 * report else None
    return judge("settings", text, wrong, f"[server] agent_down_time = {2 * report:g} or more")


def _adverts(settings: ServerSettings) -> Iterator[Finding]:
    advert = settings.ha_vrrp_advert_ms
    text, fix = f"adverts every {advert} ms, a takeover after about {3 * advert} ms", "ha_vrrp_advert_ms = 20"
    wrong = None
    if advert < VRRP_STEP_MS or advert % VRRP_STEP_MS:
        wrong = f"ha_vrrp_advert_ms = {advert}: VRRP counts in steps of {VRRP_STEP_MS} ms"
    yield judge("settings", text, wrong, f"[server] {fix}")
    if 3 * advert > SLOW_TAKEOVER_MS:
        yield judge("settings", "", f"{text}: that is slow", f"[server] {fix}", warn=True)


def _candidates(settings: ServerSettings) -> Finding:
    most = settings.max_l3_agents_per_router
    text = f"a redundant router is on {most or 'all'} hosts"
    wrong = "max_l3_agents_per_router = 1: a redundant router has no standby" if most == 1 else None
    return judge("settings", text, wrong, "[server] max_l3_agents_per_router = 3")


def _servers(settings: ServerSettings) -> Finding:
    count, down = settings.dhcp_agents_per_network, settings.agent_down_time
    wrong = f"one DHCP server a network: when its host dies, no leases for {down:g} s" if count < 2 else None
    fix = "[server] dhcp_agents_per_network = 2"
    return judge("settings", f"{count} DHCP servers a network", wrong, fix, warn=True)


def _replacement(settings: ServerSettings) -> Finding:
    delay, down = settings.ha_candidate_replacement_delay, settings.agent_down_time
    text = f"a dead candidate is replaced after {delay:g} s"
    wrong = f"{text}, but known to be dead only after {down:g} s" if delay < down else None
    fix = f"[server] ha_candidate_replacement_delay = {down:g} or more"
    return judge("settings", text, wrong, fix, warn=True)


def _access(settings: ServerSettings) -> Finding:
    remote = [place for place in settings.listen if not _is_local(place)]
    wrong = None
    if settings.auth == "noauth" and remote:
        wrong = f"whoever reaches {', '.join(remote)} may do everything (noauth)"
    return judge(
        "settings",
        "the API is served on loopback only, or asks who is there",
        wrong,
        "keep that network closed, or listen on 127.0.0.1 only",
        warn=True,
    )


def _is_local(place: str) -> bool:
    address = place.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _hosts(picture: Picture) -> Iterator[Finding]:
    if not picture.hosts:
        yield judge("hosts", "", "no agent has ever reported", "start deuteron agent on the hosts")
        return
    silent = [one.name for one in picture.hosts.values() if not one.alive and one.drain != "drained"]
    yield judge(
        "hosts",
        f"all hosts report, {len(picture.hosts)} in number",
        f"silent: {', '.join(silent)}" if silent else None,
        "there: systemctl status deuteron-agent; gone for good: openstack network agent delete",
    )
    for host in picture.hosts.values():
        for key, text in sorted(host.problems.items()):
            yield judge(
                "hosts", "", f"{host.name}: {key}: {text}", f"on {host.name}: journalctl -u deuteron-agent"
            )
    yield _versions(picture)
    yield _vteps(picture)
    yield _clocks(picture)
    emptied = [one.name for one in picture.hosts.values() if one.drain]
    yield judge(
        "hosts",
        "no host is drained",
        f"drained, nothing is placed there: {', '.join(emptied)}" if emptied else None,
        "; ".join(f"deuteron undrain {name}" for name in emptied),
        warn=True,
    )


def _versions(picture: Picture) -> Finding:
    by_version: dict[str, list[str]] = defaultdict(list)
    for one in picture.hosts.values():
        by_version[one.version].append(one.name)
    told = "; ".join(f"{version or '?'} on {_listed(names)}" for version, names in sorted(by_version.items()))
    wrong = f"different versions: {told}" if len(by_version) > 1 else None
    return judge(
        "hosts", f"all agents have version {told.split(' ')[0]}", wrong, "upgrade them all", warn=True
    )


def _vteps(picture: Picture) -> Finding:
    counts = Counter(one.vtep for one in picture.hosts.values() if one.vtep)
    twice = sorted(vtep for vtep, count in counts.items() if count > 1)
    users = [one.name for one in picture.hosts.values() if one.vtep in twice]
    wrong = f"{', '.join(users)} say that they have the same underlay address" if twice else None
    fix = "[agent] local_ip = the host's own address on the underlay"
    return judge("hosts", "each host has an underlay address of its own", wrong, fix)


def _clocks(picture: Picture) -> Finding:
    """Judge by members' own times, which cannot be later than when the server heard of them."""
    ahead: dict[str, float] = {}
    for one in picture.elections.values():
        for name, said in one.members.items():
            ahead[name] = max(ahead.get(name, 0.0), said.since - said.heard)
    late = {name: seconds for name, seconds in ahead.items() if seconds > AHEAD_SECONDS}
    told = ", ".join(f"{name} by {seconds:.0f} s" for name, seconds in sorted(late.items()))
    wrong = f"clocks are ahead of the server's: {told}" if late else None
    good = "no clock is seen to be ahead of the server's"
    return judge("hosts", good, wrong, "synchronise the clocks: apt-get install chrony", warn=True)


def _spare(settings: ServerSettings, picture: Picture) -> Iterator[Finding]:
    """Judge whether there are enough hosts for what the settings ask for."""
    carrying, serving = picture.able("l3", modes=CENTRAL_MODES), picture.able("dhcp")
    most = settings.max_l3_agents_per_router
    wrong = _too_few(carrying, 2, "can carry routers: none can be redundant")
    yield judge(
        "redundancy", f"{len(carrying)} hosts can carry routers", wrong, "give another host the role l3"
    )
    if most and 2 <= len(carrying) < most:
        text = f"{len(carrying)} hosts can carry routers, max_l3_agents_per_router = {most}"
        yield judge("redundancy", "", text, "give another host the role l3, or lower the setting", warn=True)
    wanted = settings.dhcp_agents_per_network
    short = _too_few(serving, wanted, f"can serve DHCP, dhcp_agents_per_network = {wanted}")
    yield judge(
        "redundancy",
        f"{len(serving)} hosts can serve DHCP",
        short,
        "give another host the role dhcp",
        warn=bool(serving),
    )
    for needed in sorted({name for router in picture.routers for name in router.attached}):
        attached = [one.name for one in picture.able("l3", [needed], CENTRAL_MODES)]
        if len(attached) < 2 <= len(carrying):
            where = attached[0] if attached else "no host"
            what = needed if attachments.is_segment(needed) else f"physical network {needed}"
            text = f"{what}: attached to {where} alone"
            fix = f"attach another host with the role l3 to {what}: [agent] bridge_mappings"
            yield judge("redundancy", "", text, fix, warn=bool(attached))


def _too_few(hosts: Sequence[Host], wanted: int, what: str) -> str | None:
    if len(hosts) >= wanted:
        return None
    names = ", ".join(one.name for one in hosts)
    return f"{len(hosts)} host{'' if len(hosts) == 1 else 's'} {f'({names}) ' if names else ''}{what}"


def _zones(picture: Picture) -> Iterator[Finding]:
    carrying = {one.name: one.zone for one in (*picture.able("l3"), *picture.able("dhcp"))}
    zones = set(carrying.values())
    if len(carrying) < 2:
        return
    if len(zones) == 1:
        text = f"all hosts are in zone {next(iter(zones))}: nothing keeps copies in different racks"
        fix = "[agent] zone = the host's rack or room"
        yield judge("redundancy", "", text, fix, warn=True)
        return
    yield judge("redundancy", f"hosts are in {len(zones)} zones", None)
    places = {f"router {one.label}": [c.host for c in one.candidates] for one in picture.routers if one.ha}
    places |= {f"network {one.label}": list(one.servers) for one in picture.networks}
    together = _in_one_zone(places, {one.name: one.zone for one in picture.hosts.values()})
    yield judge(
        "redundancy",
        "copies are in different zones",
        f"all copies in one zone: {_listed(together)}" if together else None,
        "deuteron move ROUTER HOST; openstack network agent add network --dhcp",
        warn=True,
    )


def _in_one_zone(places: Mapping[str, Sequence[str]], zones: Mapping[str, str]) -> list[str]:
    return [
        what
        for what, hosts in places.items()
        if len(hosts) > 1 and len({zones.get(name) for name in hosts}) == 1
    ]


def _redundancy(picture: Picture) -> Iterator[Finding]:
    single = [one.name or one.id for one in picture.routers if not one.ha]
    fix = f"openstack router set --ha {single[0]}" if len(single) == 1 else "openstack router set --ha ROUTER"
    yield judge(
        "redundancy",
        f"redundant routers: all, {len(picture.routers)} in number",
        f"not redundant: {_listed(single)}" if single else None,
        fix,
        warn=True,
    )
    found = status.of_picture(picture)
    wrong = [text for text, one in zip(found.problems, found.wrong, strict=True) if one.kind != "host"]
    yield judge(
        "redundancy",
        "everything has the hosts that it should have",
        "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "") if wrong else None,
        "deuteron status",
        warn=found.level != "BROKEN",
    )


def _ha_networks(picture: Picture) -> Iterator[Finding]:
    used = Counter(one.ha_network_id for one in picture.elections.values())
    most = len(ha.VRIDS)
    full = [f"{id_} ({count} of {most})" for id_, count in sorted(used.items()) if count > NEARLY * most]
    yield judge(
        "HA networks",
        f"in use: {len(used)}, with {max(used.values(), default=0)} of {most} VRIDs at most",
        f"nearly all VRIDs in use: {', '.join(full)}" if full else None,
        "none needed: another HA network is made by itself; fewer lists of candidates need fewer VRIDs",
        warn=True,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:5])} and {len(names) - 5} more"
