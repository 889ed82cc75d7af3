"""Metadata on this host, for the instances of this host."""

import logging
import secrets
import threading
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.metadata import guard, kernel, legs, render
from deuteron.agent.metadata.directory import Directory
from deuteron.agent.metadata.haproxy import Haproxy
from deuteron.agent.metadata.nova import Nova
from deuteron.agent.metadata.responder import Responder
from deuteron.agent.settings import AgentSettings
from deuteron.agent.system import files, nft
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Instance, Network, Unit

log = logging.getLogger(__name__)

_OWN = "agent/metadata"
"""The key of problems that are not a network's."""


class MetadataManager:
    """Serves metadata on every network that has an instance here, whatever becomes of other hosts."""

    kinds: tuple[type[Unit], ...] = (Network, Instance)

    def __init__(self, context: Context, settings: AgentSettings) -> None:
        """Build on the host of `context`."""
        self._context = context
        self._settings = settings
        self._directory = context.run_dir / "metadata"
        self._known = Directory(kernel.neighbour)
        self._instances: dict[str, Instance] = {}  # port -> instance
        self._uplinks: dict[str, str | None] = {}  # network -> device
        self._taps: dict[str, str] = {}  # device -> the bridge that it is on
        self._problems: dict[str, str] = {}
        self._haproxy = Haproxy(context.daemons, self._directory)
        self._responder = self._listen()
        self._dirty = True
        self._built: dict[str, legs.Leg] = {}
        """What the kernel has, by network; nothing when that must be looked at."""
        self._guarded: set[str] = set()
        """Devices of instances that the table knows."""

    @property
    def pending(self) -> bool:
        """Whether haproxy has to be looked at again soon."""
        return self._haproxy.pending and _OWN not in self._problems

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        if isinstance(unit, Instance):
            self._known.put(unit)
            self._instances[unit.id] = unit
            self._dirty = True
        elif isinstance(unit, Network):
            uplink = self._uplink(unit)
            if names.metadata_tap(unit.id) in self._taps and self._uplinks.get(unit.id) != uplink:
                self._look_again()
            self._uplinks[unit.id] = uplink

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, identity = key.partition("/")
        if kind == "instance":
            self._known.delete(identity)
            self._instances.pop(identity, None)
            self._dirty = True
        elif kind == "network":
            self._uplinks.pop(identity, None)

    def recheck(self) -> None:
        """Compare everything at the next turn."""
        self._known.complete.set()
        self._look_again()

    def concerns(self, device: str) -> bool:
        """Return whether it may be one of ours."""
        return device.startswith(names.metadata_tap(""))

    def device_changed(self, device: str) -> None:
        """Note that a device came, went or changed."""
        bridge = self._taps.get(device)
        if bridge is not None and not Path(f"/sys/class/net/{bridge}/brif/{device}").exists():
            self._look_again()

    def _look_again(self) -> None:
        self._dirty, self._built = True, {}

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        if self._dirty or (self._problems and not self.pending):
            try:
                wanted = legs.legs(self._instances.values())
                if self._built and not self._problems and _ways(wanted) == _ways(self._built):
                    self._change(wanted)
                else:
                    self._problems = self._build(wanted)
            except (SystemCommandError, OSError, ValueError) as error:
                self._problems = {_OWN: f"metadata: {error}"}
            if self._problems:
                self._built = {}
            self._dirty = False
        if self._haproxy.pending and (problem := self._listen_on_legs()):
            self._problems[_OWN] = problem
        return dict(self._problems)

    def _change(self, wanted: dict[str, legs.Leg]) -> None:
        """Take in and let go instances of networks that are served as they are."""
        guarded = {names.tap(port) for port in self._instances}
        if commands := guard.change(self._guarded, guarded):
            nft.apply(commands)
        kernel.meet(wanted, self._built)
        self._built, self._guarded = wanted, guarded

    def _build(self, wanted: dict[str, legs.Leg]) -> dict[str, str]:
        self._built = {}
        present = kernel.look()
        self._taps = {leg.tap: names.bridge(leg.network) for leg in wanted.values()}
        kernel.remove(present.ours - self._taps.keys())
        if not wanted:
            self._haproxy.stop()
            kernel.clear()
            return {}
        kernel.prepare(present)
        # Before there is a leg: what it says must not be heard on another host.
        uplinks = {uplink for network in wanted if (uplink := self._uplinks.get(network))}
        self._guarded = {names.tap(port) for port in self._instances}
        nft.apply(guard.render(self._guarded, uplinks))
        problems = kernel.build(wanted.values(), present)
        built = {network: leg for network, leg in wanted.items() if network not in problems}
        self._haproxy.want(kernel.identities(built))
        self._built = wanted
        return {f"metadata/{network}": words for network, words in problems.items()}

    def _listen_on_legs(self) -> str:
        self._responder = self._responder or self._listen()
        if self._responder is None:
            port = self._settings.metadata_port
            return f"metadata: port {port} of the loopback is taken: free it, or set metadata_port"
        try:
            return self._haproxy.step(render.Responder(self._settings.metadata_port, self._responder.secret))
        except (SystemCommandError, OSError, ValueError) as error:
            return f"metadata: {error}"

    def _uplink(self, network: Network) -> str | None:
        if network.vni is not None:
            return names.vxlan(network.vni)
        if network.vlan is not None:
            return names.vlan(network.id)
        return self._context.bridge_mappings.get(network.physical_network or "")

    def _listen(self) -> Responder | None:
        """Answer at the port; the secret stays the same for the next agent, since haproxy keeps running."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._directory / "secret"
        secret = file.read_text() if file.exists() else ""
        if not secret:
            secret = secrets.token_hex(16)
            files.write(file, secret, mode=0o600)
        port = self._settings.metadata_port
        try:
            responder = Responder(port, secret, self._known, self._settings.zone, self._nova())
        except OSError as error:
            log.error("metadata: 127.0.0.1:%d: %s", port, error)
            return None
        threading.Thread(target=responder.serve_forever, name="metadata", daemon=True).start()
        return responder

    def _nova(self) -> Nova | None:
        settings = self._settings
        if not settings.nova_metadata_host:
            return None
        return Nova(
            settings.nova_metadata_host, settings.nova_metadata_port, settings.metadata_proxy_shared_secret
        )


def _ways(wanted: dict[str, legs.Leg]) -> dict[str, int]:
    """Return what of legs is not about instances."""
    return {network: leg.mtu for network, leg in wanted.items()}
