"""Namespaces by name: whose they are, and other names for them."""

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from deuteron.agent.system import netns
from deuteron.agent.system.errors import SystemCommandError

pytestmark = pytest.mark.lab


@pytest.fixture
def names() -> Iterator[tuple[str, str]]:
    """Give two names that nobody has."""
    unique = uuid.uuid4().hex[:8]
    old, new = f"Wold-{unique}", f"Wnew-{unique}"
    yield old, new
    netns.delete(old, new)


def test_a_mark_tells_whose_it_is(names: tuple[str, str]) -> None:
    netns.create(names[0], mark="deuteron-other")
    assert netns.is_ours(names[0], "deuteron-other")
    assert not netns.is_ours(names[0])
    with pytest.raises(SystemCommandError, match="not ours"):
        netns.create(names[0])


def test_another_name(names: tuple[str, str]) -> None:
    old, new = names
    netns.create(old)
    before = netns.path(old).stat().st_ino
    netns.rename(old, new)
    assert netns.path(new).stat().st_ino == before
    assert netns.is_ours(new)
    assert not netns.exists(old)
    assert old not in netns.names()


def test_another_name_after_a_crash(names: tuple[str, str]) -> None:
    old, new = names
    netns.create(old)
    netns.path(new).touch()  # it ended before the mount
    netns.rename(old, new)
    netns.path(old).touch()
    subprocess.run(["mount", "--bind", str(netns.path(new)), str(netns.path(old))], check=True)  # or after it
    netns.rename(old, new)
    assert netns.is_ours(new)
    assert old not in netns.names()


def test_no_name_of_another_one(names: tuple[str, str]) -> None:
    netns.create(*names)
    with pytest.raises(SystemCommandError, match="another one"):
        netns.rename(*names)
    assert netns.exists(names[0])
