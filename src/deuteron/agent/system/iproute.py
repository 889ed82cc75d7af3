"""What `ip` and `bridge` have in common: batches and JSON."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deuteron.agent.system.command import attempt, run
from deuteron.agent.system.errors import SystemCommandError

_FAILED = re.compile(r"^Command failed -:(\d+)", re.MULTILINE)


def batch(tool: str, commands: Sequence[str], netns: str | None) -> None:
    """Do the commands in order; raise SystemCommandError with the first that fails."""
    failed = _first_failure(tool, commands, netns)
    if failed:
        index, reason = failed
        raise SystemCommandError(f"{tool} {commands[index]}", reason)


def batch_groups(tool: str, groups: Mapping[str, Sequence[str]], netns: str | None) -> dict[str, str]:
    """Do groups of commands in as few processes as possible; return why groups failed."""
    problems: dict[str, str] = {}
    left = [(key, command) for key, commands in groups.items() for command in commands]
    while left:
        failed = _first_failure(tool, [command for _, command in left], netns)
        if not failed:
            break
        index, reason = failed
        culprit, command = left[index]
        problems[culprit] = f"{tool} {command}: {reason}"
        left = [(key, text) for key, text in left[index + 1 :] if key != culprit]
    return problems


def show(argv: Sequence[str], words: str, netns: str | None) -> list[dict[str, Any]]:
    """Run a command that prints a JSON list of objects; return the objects that are not empty."""
    command = [*argv, *words.split()]
    text = run(command, netns=netns)
    try:
        found = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise SystemCommandError(" ".join(command), f"unreadable answer: {error}") from None
    return [item for item in found if item]


def _first_failure(tool: str, commands: Sequence[str], netns: str | None) -> tuple[int, str] | None:
    if not commands:
        return None
    if any("\n" in command for command in commands):
        raise ValueError(f"{tool}: a command holds a line break")
    code, _, stderr = attempt([*tool.split(), "-batch", "-"], "\n".join(commands) + "\n", netns)
    if not code:
        return None
    found = _FAILED.search(stderr)
    if not found:
        raise SystemCommandError(f"{tool} -batch", stderr.strip() or f"exit status {code}")
    return int(found[1]) - 1, stderr[: found.start()].strip()
