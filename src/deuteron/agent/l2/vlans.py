"""VLANs of physical networks: what is to be undone when a host leaves one."""

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.l2.devices import Link
from deuteron.agent.system import files, ip, vlan
from deuteron.agent.system.errors import SystemCommandError


def remember(device: str, links: Mapping[str, Link], run_dir: Path) -> None:
    """Note that a physical device is made to take frames for all, if it did not before."""
    if device in links and "PROMISC" not in links[device]["flags"]:
        files.write(_file(device, run_dir), "")


def forget(name: str, wanted: Collection[str], run_dir: Path) -> None:
    """Leave the frames of a VLAN to the physical device again, which behaves as before after the last one.

    `wanted`: the VLANs that others have, each as DEVICE TAG. Raises SystemCommandError.
    """
    ends = ip.show("link show type veth")
    mine = next((link for link in ends if link["ifname"] == names.vlan_end(name)), None)
    alias = (mine or {}).get("ifalias", "")
    if not alias:
        return
    device = release(alias, wanted)
    others = (link for link in ends if link is not mine and link["ifname"].startswith(names.vlan_end("")))
    kept = _file(device, run_dir)
    if kept.exists() and not any(link.get("ifalias", "").rpartition(" ")[0] == device for link in others):
        with contextlib.suppress(SystemCommandError):
            ip.batch([f"link set {device} promisc off"])
        kept.unlink(missing_ok=True)


def release(alias: str, wanted: Collection[str]) -> str:
    """Leave the frames of a VLAN, DEVICE TAG, to the device unless they are wanted; return the device."""
    device, _, tag = alias.rpartition(" ")
    if device and tag.isdigit() and alias not in wanted:
        with contextlib.suppress(SystemCommandError):
            vlan.forget(device, int(tag))
    return device


def _file(device: str, run_dir: Path) -> Path:
    return run_dir / "physical" / f"{device}.promisc"
