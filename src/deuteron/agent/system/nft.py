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


def contents(family: str, table: str) -> tuple[set[str], set[str]]:
    """Return the names of a table's chains, and of its sets and maps; none if there is no such table."""
    code, stdout, _ = attempt(["nft", "-j", "-t", "list", "table", family, table])
    if code:
        return set(), set()
    found: list[dict[str, Any]] = json.loads(stdout)["nftables"]
    named = {
        kind: {str(one[kind]["name"]) for one in found if kind in one} for kind in ("chain", "set", "map")
    }
    return named["chain"], named["set"] | named["map"]


def keys(family: str, name: str, *, table: str, netns: str | None = None) -> set[str]:
    """Return the keys of a map; none if there is no such map."""
    code, stdout, _ = attempt(["nft", "-j", "list", "map", family, table, name], netns=netns)
    if code:
        return set()
    found: list[dict[str, Any]] = [item["map"] for item in json.loads(stdout)["nftables"] if "map" in item]
    return {str(key) for one in found for key, _ in one.get("elem", ())}


def check(text: str, netns: str | None = None) -> None:
    """Raise SystemCommandError unless the kernel would take a ruleset text. Nothing changes."""
    run(["nft", "-c", "-f", "-"], text, netns)


def counters(table: str, netns: str | None = None) -> dict[str, tuple[int, int]]:
    """Return (packets, bytes) of the named counters of a table of family inet; none if there is no table."""
    code, stdout, _ = attempt(["nft", "-j", "list", "counters", "table", "inet", table], netns=netns)
    if code:
        return {}
    found = [item["counter"] for item in json.loads(stdout)["nftables"] if "counter" in item]
    return {str(one["name"]): (int(one["packets"]), int(one["bytes"])) for one in found}


def numbers(family: str, name: str, *, table: str, netns: str | None = None) -> dict[str, int]:
    """Return the elements of a map to numbers; none if there is no such map."""
    code, stdout, _ = attempt(["nft", "-j", "list", "map", family, table, name], netns=netns)
    if code:
        return {}
    found: list[dict[str, Any]] = [item["map"] for item in json.loads(stdout)["nftables"] if "map" in item]
    return {str(key): int(value) for one in found for key, value in one.get("elem", ())}
