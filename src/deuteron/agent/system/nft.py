"""nftables: one transaction at a time."""

import json
from typing import Any

from deuteron.agent.system.command import attempt, run


def apply(text: str, netns: str | None = None) -> None:
    """Apply a ruleset text, all or nothing. Raises SystemCommandError with the line that nft names."""
    run(["nft", "-f", "-"], text, netns)


def tables(netns: str | None = None) -> set[tuple[str, str]]:
    """Return (family, name) of the tables. Raises SystemCommandError."""
    lines = run(["nft", "list", "tables"], netns=netns).splitlines()
    return {(words[1], words[2]) for words in map(str.split, lines) if len(words) == 3}


def numbers(family: str, name: str, *, table: str, netns: str | None = None) -> dict[str, int]:
    """Return the elements of a map to numbers; none if there is no such map."""
    code, stdout, _ = attempt(["nft", "-j", "list", "map", family, table, name], netns=netns)
    if code:
        return {}
    found: list[dict[str, Any]] = [item["map"] for item in json.loads(stdout)["nftables"] if "map" in item]
    return {str(key): int(value) for one in found for key, value in one.get("elem", ())}
