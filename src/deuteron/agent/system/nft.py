"""nftables: one transaction at a time."""

from deuteron.agent.system.command import run


def apply(text: str, netns: str | None = None) -> None:
    """Apply a ruleset text, all or nothing. Raises SystemCommandError with the line that nft names."""
    run(["nft", "-f", "-"], text, netns)


def tables(netns: str | None = None) -> set[tuple[str, str]]:
    """Return (family, name) of the tables. Raises SystemCommandError."""
    lines = run(["nft", "list", "tables"], netns=netns).splitlines()
    return {(words[1], words[2]) for words in map(str.split, lines) if len(words) == 3}
