"""Files that are never seen half-written."""

import os
from pathlib import Path


def write(file: Path, text: str, mode: int = 0o644) -> bool:
    """Make a file hold a text; return whether it changed. Raises OSError.

    The file is left alone, with its time, when it holds the text already.
    """
    data = text.encode()
    try:
        if file.read_bytes() == data:
            return False
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:  # noqa: PTH123
            stream.write(data)
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return True
