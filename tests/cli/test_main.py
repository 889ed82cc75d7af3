"""The command itself: verbs, help, and a reader that has enough."""

import subprocess
import sys
from pathlib import Path

COMMAND = [str(Path(sys.executable).with_name("deuteron"))]


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = subprocess.Popen([*COMMAND, "help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout
    command.stdout.close()
    _, told = command.communicate()
    assert (command.returncode, told) == (141, b"")


def test_what_is_no_verb_is_told_with_the_verbs() -> None:
    done = subprocess.run([*COMMAND, "dance"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no verb 'dance'" in done.stderr
    assert "demo" in done.stderr
