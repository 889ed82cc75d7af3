"""Where a lab keeps what it must remember, and the lock that keeps two commands apart."""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from deuteron.lab.topology import LabError, Topology

ROOT = Path("/run/deuteron-lab")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


class Record(msgspec.Struct, kw_only=True):
    """The file lab.json."""

    topology: Topology
    port: int = 0
    """Of the API on 127.0.0.1; 0 when no host runs the server."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The file of one instance."""

    name: str
    host: str
    network: str
    port: str
    device_id: str
    mac: str
    addresses: tuple[str, ...]
    mtu: int
    own_port: bool
    """Whether `boot` made the port, so that `destroy` deletes it."""


@dataclass(frozen=True)
class Lab:
    """A lab by its name; its files are all below `directory`. Raises LabError for a name that cannot be."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(f"lab {self.name!r}: a name is 1 to 20 lower case letters, digits and hyphens")

    @property
    def directory(self) -> Path:
        """All files of this lab."""
        return ROOT / self.name

    def host_directory(self, host: str) -> Path:
        """The files of one host: its disk, its control socket."""
        return self.directory / "hosts" / host

    def exists(self) -> bool:
        """Tell whether the lab was brought up and not down."""
        return (self.directory / "lab.json").exists()

    def record(self) -> Record:
        """Return what was recorded when the lab was brought up. Raises LabError when there is no such lab."""
        path = self.directory / "lab.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Record)
        except FileNotFoundError:
            raise LabError(f"there is no lab {self.name!r}: `deuteron lab up` makes one") from None
        except msgspec.DecodeError as error:
            raise LabError(f"{path}: {error}; `deuteron lab down` removes what is left") from None

    def save(self, record: Record) -> None:
        """Write lab.json."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(self.directory / "lab.json", msgspec.json.encode(record))

    def instances(self) -> dict[str, Instance]:
        """Return the instances by name, running or not."""
        found = {}
        for path in sorted((self.directory / "instances").glob("*.json")):
            with contextlib.suppress(FileNotFoundError):
                found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Instance)
        return found

    def save_instance(self, instance: Instance) -> None:
        """Remember an instance."""
        (self.directory / "instances").mkdir(exist_ok=True)
        write(self.directory / "instances" / f"{instance.name}.json", msgspec.json.encode(instance))

    def forget_instance(self, name: str) -> None:
        """Forget an instance."""
        (self.directory / "instances" / f"{name}.json").unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove all files of this lab."""
        shutil.rmtree(self.directory, ignore_errors=True)


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.rename(path)


@contextlib.contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """Keep other commands that change this lab out; waits for them. The lock ends with this process."""
    path = ROOT / f"{lab.name}.lock"
    with _lock(path):
        try:
            yield
        finally:
            if not lab.directory.exists():
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # another lab is there
                    ROOT.rmdir()


def _lock(path: Path) -> IO[str]:
    # A file object and not a descriptor: an interrupt anywhere in here closes it, and so gives it up.
    while True:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # whoever held it before has removed it
            file = path.open("a")
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
