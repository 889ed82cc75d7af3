"""Has the kernel do what a router does besides forwarding."""

import logging
from dataclasses import replace

from deuteron.agent.l3 import services
from deuteron.agent.l3.services import Services
from deuteron.agent.system import ip, nft, sysctl
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Helper

log = logging.getLogger(__name__)


def build(wanted: Services, before: Services | None, namespace: str, log_limit: str) -> dict[str, str]:
    """Make it so in a router's namespace, whose devices are there; return which parts failed, and why.

    What is not wanted at all any more is removed by `services.removal`. `before` is what was made last, None
    when that is not known. Raises SystemCommandError.
    """
    failed: dict[str, str] = {}
    if wanted.has_table and wanted != before:
        failed.update(_make_table(wanted, namespace, log_limit))
    if wanted.meters and wanted != before:
        present = nft.counters(services.METERS, namespace).keys()
        nft.apply(services.render_meters(wanted, present), namespace)
    if wanted.device:
        _proxy(wanted, before, namespace)
    return failed


def _make_table(wanted: Services, namespace: str, log_limit: str) -> dict[str, str]:
    """Make the table with what the kernel has; say which helpers it has not, or that it cannot log."""
    missing = {helper: "no kernel has it" for helper in wanted.helpers if services.unusable(helper)}
    unlogged = ""
    try:
        nft.apply(services.render(services.without(wanted, missing), log_limit), namespace)
    except SystemCommandError:
        missing |= _missing(wanted, namespace, missing)
        unlogged = _unlogged(wanted, namespace, log_limit)
        if not missing and not unlogged:
            raise
        usable = replace(services.without(wanted, missing), logged=wanted.logged and not unlogged)
        nft.apply(services.render(usable, log_limit), namespace)
    failed = {
        f"helper {one.name}": f"conntrack helper {one.name} of {one.protocol} is not there: {reason}"
        for one, reason in missing.items()
    }
    return failed | ({"log": unlogged} if unlogged else {})


def _unlogged(wanted: Services, namespace: str, log_limit: str) -> str:
    """Return why the kernel cannot log; "" where it can, or need not."""
    try:
        if wanted.logged:
            nft.check(services.render(Services(device=wanted.device, logged=True), log_limit), namespace)
    except SystemCommandError as error:
        return f"what is translated is not written down: {error} (needs CONFIG_NFT_LOG)"
    return ""


def _missing(wanted: Services, namespace: str, known: dict[Helper, str]) -> dict[Helper, str]:
    found = {}
    for helper in wanted.helpers:
        if helper not in known:
            try:
                nft.check(services.render(Services(helpers=(helper,)), ""), namespace)
            except SystemCommandError as error:
                found[helper] = str(error)
    return found


def _proxy(wanted: Services, before: Services | None, namespace: str) -> None:
    """Answer for what is proxied, at once: without the delay that is the kernel's default."""
    device = wanted.device
    if wanted.proxies:
        shown = ip.show("neigh show proxy", namespace)
        present = {str(one["dst"]) for one in shown if one.get("dev") == device}
        commands = [f"neigh delete proxy {one} dev {device}" for one in sorted(present - {*wanted.proxied})]
        commands += [f"neigh add proxy {one} dev {device}" for one in wanted.proxied if one not in present]
        ip.batch(commands, namespace)
        sysctl.write({f"net/ipv6/neigh/{device}/proxy_delay": "0"}, namespace)
    if wanted.proxies or before is None or before.proxies:
        sysctl.write({f"net/ipv6/conf/{device}/proxy_ndp": str(int(wanted.proxies))}, namespace)
