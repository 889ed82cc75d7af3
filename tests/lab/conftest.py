import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deuteron.lab import lab as labs
from deuteron.lab.state import Lab

BARE = """
[hosts.alpha]
networks = ["management", "underlay", "external"]
services = []
[hosts.beta]
networks = ["management", "underlay"]
services = []
[hosts.outside]
networks = ["external"]
services = ["echo"]
external = ["203.0.113.1/24", "2001:db8:113::1/64"]
loopback = ["198.51.100.1/32"]
"""


class Command:
    """`deuteron lab` of one lab, as an operator types it."""

    def __init__(self, name: str) -> None:
        self.lab = Lab(name)

    def argv(self, *words: str) -> list[str]:
        return [str(Path(sys.prefix) / "bin" / "deuteron"), "lab", *words]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DEUTERON_LAB": self.lab.name}

    def __call__(self, *words: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.argv(*words),
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, place: str, script: str) -> str:
        return self.ok("exec", place, "--", "sh", "-c", script)


def new_command() -> Command:
    return Command(f"t{uuid.uuid4().hex[:8]}")


@pytest.fixture
def bare_file(tmp_path: Path) -> Path:
    path = tmp_path / "bare.toml"
    path.write_text(BARE)
    return path


@pytest.fixture
def fresh() -> Iterator[Command]:
    """A name of which there is no lab yet; whatever the test makes of it is removed."""
    command = new_command()
    yield command
    labs.down(command.lab)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A lab without agents: three hosts, one of which is the outside."""
    path = tmp_path_factory.mktemp("lab") / "bare.toml"
    path.write_text(BARE)
    command = new_command()
    try:
        command.ok("up", str(path))
        yield command
    finally:
        labs.down(command.lab)
