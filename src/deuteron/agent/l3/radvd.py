"""The radvd of a part of a router."""

import shutil
from pathlib import Path

from deuteron.agent.system import files
from deuteron.agent.system.daemons import Daemon, Daemons


def ensure(daemons: Daemons, name: str, config: str, directory: Path, namespace: str, unit: str) -> None:
    """Have a radvd run with this configuration, or none when that is empty; `name` is the daemon's.

    `directory` is its own. Raises SystemCommandError, OSError.
    """
    if not config:
        stop(daemons, name, directory)
        return
    changed = files.write(directory / "radvd.conf", config)
    pid = directory / "radvd.pid"
    daemon = Daemon(
        name=name,
        argv=("radvd", "-n", "-m", "stderr", "-C", str(directory / "radvd.conf"), "-p", str(pid)),
        netns=namespace,
        stale=(str(pid),),
        unit=unit,
    )
    runs = daemons.pid(name) is not None
    daemons.ensure(daemon)
    if changed and runs:
        daemons.reload(name)


def stop(daemons: Daemons, name: str, directory: Path) -> None:
    """Have none run."""
    if name in daemons.running():
        daemons.stop(name)
    shutil.rmtree(directory, ignore_errors=True)
