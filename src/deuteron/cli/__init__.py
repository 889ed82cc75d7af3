"""The `deuteron` command: one verb a module, imported only when it is called.

A verb's module has `add_arguments(parser)`, `run(arguments) -> int` (the exit status) and a
docstring whose first line is its help; other modules in here are no verbs. `deuteron switch` must
start fast and small, so nothing is imported here but the standard library.
"""

import argparse
import ast
import importlib
import os
import pkgutil
import sys
from pathlib import Path

from deuteron import __version__

_BROKEN_PIPE = 128 + 13
"""The status with which a shell shows a process that SIGPIPE ended."""


def verbs() -> dict[str, str]:
    """Return each verb and its one-line help, read without importing its module."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        tree = ast.parse(Path(__path__[0], f"{module.name}.py").read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "add_arguments" for node in tree.body):
            help_text = ast.get_docstring(tree) or ""
            found[module.name.replace("_", "-")] = help_text.partition("\n")[0].rstrip(".")
    return found


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:  # who read what we say has enough, as `| head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return status


def _run(words: list[str]) -> int:
    if words and words[0] == "--version":
        print(f"deuteron {__version__}")
        return 0
    if not words or words[0] not in verbs():
        return _help(words)
    verb = words[0]
    module = importlib.import_module(f"deuteron.cli.{verb.replace('-', '_')}")
    parser = argparse.ArgumentParser(f"deuteron {verb}", description=module.__doc__)
    module.add_arguments(parser)
    status: int = module.run(parser.parse_args(words[1:]))
    return status


def _help(words: list[str]) -> int:
    """Print the verbs; return 2 if there is none of that name."""
    wrong = bool(words) and words[0] not in ("-h", "--help", "help")
    stream = sys.stderr if wrong else sys.stdout
    if wrong:
        print(f"deuteron: there is no verb {words[0]!r}", file=stream)
    print("usage: deuteron VERB [OPTIONS]\n", file=stream)
    for verb, help_text in verbs().items():
        print(f"  {verb:<16} {help_text}", file=stream)
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
