"""Files that are never seen half-written."""

import os
from pathlib import Path


def write(file: Path, text: str, durable: bool = False) -> bool:
    """Make a file hold a text; return whether it changed. Raises OSError.

    `durable` also waits until it is on the disk. The file is left alone, with its time, when it holds the
    text already.
    """
    data = text.encode()
    try:
        if file.read_bytes() == data:
            return False
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return True
