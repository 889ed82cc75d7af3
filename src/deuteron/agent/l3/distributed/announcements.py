"""Telling an external network that floating IPs are reached by a port of this host from now on."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable

from deuteron.agent.l3.switch.announce import REPEATS, frames
from deuteron.agent.l3.switch.records import Port
from deuteron.agent.system import netns

log = logging.getLogger(__name__)


def announce(
    namespace: str, device: str, mac: str, addresses: Iterable[str], still: Callable[[str], bool]
) -> None:
    """Announce addresses at a device, now and again later as long as `still` says so. Does not wait."""
    told = tuple(addresses)
    work = (namespace, device, mac, told, still)
    threading.Thread(target=_announce, args=work, name="announcements", daemon=True).start()


def _announce(
    namespace: str, device: str, mac: str, addresses: tuple[str, ...], still: Callable[[str], bool]
) -> None:
    begun = time.monotonic()
    for seconds in (0.0, *REPEATS):
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        told = tuple(address for address in addresses if not seconds or still(address))
        if not told:
            return
        try:
            with (
                netns.entered(namespace),
                socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as opened,
            ):
                for frame in frames(Port(device, mac), told):
                    opened.sendto(frame, (device, 0))
        except OSError as error:
            log.warning("floating IPs %s are not announced: %s", ", ".join(told), error)
            return
