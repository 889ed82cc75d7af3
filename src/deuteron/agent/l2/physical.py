"""The settings of a physical device before it was put into a bridge of ours: the operator gets them back."""

from pathlib import Path

import msgspec

from deuteron.agent.l2 import devices
from deuteron.agent.system import files, sysctl


def remember(device: str, run_dir: Path) -> None:
    """Keep the settings that will be changed, unless they are kept already. Raises SystemCommandError."""
    kept = _file(device, run_dir)
    if not kept.exists():
        settings = sysctl.read(devices.quiet(device))
        files.write(kept, msgspec.json.encode(settings).decode())


def give_back(device: str, run_dir: Path) -> None:
    """Set them as they were; as they are if that is not known. Raises SystemCommandError."""
    kept = _file(device, run_dir)
    try:
        settings = msgspec.json.decode(kept.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        settings = {}
    sysctl.write(settings)
    kept.unlink(missing_ok=True)


def _file(device: str, run_dir: Path) -> Path:
    return run_dir / "physical" / f"{device}.json"
