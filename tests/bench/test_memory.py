import os
import subprocess
import sys
from pathlib import Path

import pytest

from deuteron.bench.memory import pss, pss_by_command

ROLLUP = """\
55d0-7ffd ---p 00000000 00:00 0                          [rollup]
Rss:                5000 kB
Pss:                1234 kB
Pss_Anon:            999 kB
Private_Dirty:       100 kB
"""


def _process(proc: Path, pid: int, namespace: str, command: str, kilobytes: int) -> None:
    directory = proc / str(pid)
    (directory / "ns").mkdir(parents=True)
    (directory / "ns" / "pid").symlink_to(namespace)
    (directory / "comm").write_text(command + "\n")
    (directory / "smaps_rollup").write_text(f"Pss: {kilobytes} kB\n")


def test_pss_is_one_line_of_the_rollup() -> None:
    assert pss(ROLLUP) == 1234 * 1024
    assert pss("") == 0


def test_only_processes_of_the_host_count(tmp_path: Path) -> None:
    _process(tmp_path, 10, "pid:[1]", "init", 100)
    _process(tmp_path, 11, "pid:[1]", "dnsmasq", 20)
    _process(tmp_path, 12, "pid:[1]", "dnsmasq", 30)
    _process(tmp_path, 13, "pid:[2]", "dnsmasq", 4000)
    (tmp_path / "self").mkdir()
    assert pss_by_command(10, tmp_path) == {"init": 100 * 1024, "dnsmasq": 50 * 1024}


def test_a_process_that_ends_meanwhile_is_left_out(tmp_path: Path) -> None:
    _process(tmp_path, 10, "pid:[1]", "init", 100)
    _process(tmp_path, 11, "pid:[1]", "dnsmasq", 20)
    (tmp_path / "11" / "smaps_rollup").unlink()
    assert pss_by_command(10, tmp_path) == {"init": 100 * 1024}


def test_a_host_that_is_down(tmp_path: Path) -> None:
    with pytest.raises(ProcessLookupError, match="10"):
        pss_by_command(10, tmp_path)


def test_real_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = pss_by_command(os.getpid())
        assert sum(found.values()) > 1024 * 1024
    finally:
        child.communicate(b"\n")
