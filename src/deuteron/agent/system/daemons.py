"""Daemons that outlive the agent: started detached, recorded, adopted, respawned.

A record `RUN_DIR/daemons/NAME.json` says which process a daemon is (pid, start time, boot). It is all that an
agent needs to take over from the one before.
"""

import hashlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from deuteron.agent.system import files, processes
from deuteron.agent.system import netns as namespaces
from deuteron.agent.system.errors import SystemCommandError

log = logging.getLogger(__name__)

BACK_OFF = (0.1, 5.0)
"""Seconds between a death and the respawn: the first time, and at most."""
HEALTHY = 10.0
"""Seconds after which a daemon that runs is no longer held against its earlier deaths."""
_LOG_LIMIT = 1 << 20
_REAP_SECONDS = 1.0
_HANDLER_SECONDS = 1.0
_SIGNALS_RESET = (
    signal.SIGPIPE,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon as it shall run. It is restarted when this, or the content of `files`, changes."""

    name: str
    """Unique on the host; also the name of its log, RUN_DIR/log/NAME.log."""
    argv: tuple[str, ...]
    netns: str | None = None
    files: tuple[str, ...] = ()
    """Files of which a change needs a restart (leave out what it reads again on a signal)."""
    stale: tuple[str, ...] = ()
    """Files to remove before each start, such as pid files."""
    unit: str = ""
    """The key of the plan's unit that it serves: where its troubles are reported."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Which process a daemon is."""

    pid: int
    started: int
    """Clock ticks since the boot."""
    boot: str
    argv: tuple[str, ...]
    fingerprint: str


@dataclass
class _Running:
    daemon: Daemon | None
    """None until somebody wants it: recorded by an earlier agent."""
    record: Record
    pidfd: int = -1
    deaths: int = 0
    respawn_at: float | None = None
    last_words: str = ""
    born: float = field(default_factory=time.monotonic)


class Daemons:
    """The daemons of one run directory. All methods may be called from any thread."""

    def __init__(self, run_dir: Path, on_change: Callable[[], None] = lambda: None) -> None:
        """Read the records in `run_dir` and watch their processes; `on_change` is called after a death."""
        self.run_dir = run_dir
        self._directory = run_dir / "daemons"
        self._logs = run_dir / "log"
        for directory in (self._directory, self._logs):
            directory.mkdir(parents=True, exist_ok=True)
        self._on_change = on_change
        self._boot = processes.boot_id()
        self._lock = threading.RLock()
        self._known: dict[str, _Running] = {}
        self._ending: dict[str, threading.Thread] = {}
        self._strays: dict[int, tuple[str, ...]] = {}
        self._poll = select.epoll()
        self._load()
        self._watcher = threading.Thread(target=self._watch, name="daemons", daemon=True)
        self._watcher.start()

    def ensure(self, daemon: Daemon) -> None:
        """Have it running as described: leave it, adopt it, start it, or restart it when it changed.

        One that just died is left to the watcher, which respawns it. Raises SystemCommandError when it cannot
        be started.
        """
        fingerprint = _fingerprint(daemon)
        self._await_end(daemon.name)
        with self._lock:
            running = self._known.get(daemon.name) or self._adopt_stray(daemon, fingerprint)
            if running and running.record.fingerprint == fingerprint:
                running.daemon = daemon
                return
        self._end(daemon.name)
        with self._lock:
            self._start(daemon, fingerprint)

    def stop(self, name: str) -> None:
        """End it (SIGTERM, after 5 s SIGKILL), with its record and its log; fine when it does not run."""
        self._await_end(name)
        self._end(name)
        self._remove_files(name)

    def dismiss(self, name: str) -> None:
        """Do what `stop` does, but wait for nothing: it is asked to end, and a thread sees to the rest."""
        with self._lock:
            running = self._known.pop(name, None)
            if running is None:
                return
            self._forget(running)
            if self._alive(running.record):
                os.kill(running.record.pid, signal.SIGTERM)
            work = (name, running.record)
            ending = threading.Thread(target=self._finish, args=work, name=f"end {name}", daemon=True)
            self._ending[name] = ending
        ending.start()

    def _finish(self, name: str, record: Record) -> None:
        if self._alive(record):
            processes.end(record.pid, record.started)
        _reap(record.pid)
        self._remove_files(name)

    def _await_end(self, name: str) -> None:
        """Wait for the end of one that was dismissed."""
        ending = self._ending.pop(name, None)
        if ending is not None:
            ending.join()

    def _remove_files(self, name: str) -> None:
        (self._directory / f"{name}.json").unlink(missing_ok=True)
        for log_file in (self.log_file(name), self.log_file(name).with_suffix(".log.1")):
            log_file.unlink(missing_ok=True)

    def reload(self, name: str, number: signal.Signals = signal.SIGHUP) -> None:
        """Send it a signal; one that is just dead will read its files anyway when it is respawned.

        One that was just started would end by the signal: it is waited for.
        """
        if (pid := self.pid(name)) is not None:
            processes.wait_for_handler(pid, number, _HANDLER_SECONDS)
        with self._lock:
            running = self._known.get(name)
            if running and running.record.pid == pid and self._alive(running.record):
                os.kill(pid, number)

    def pid(self, name: str) -> int | None:
        """Return its process, None when it does not run now."""
        with self._lock:
            running = self._known.get(name)
            return running.record.pid if running and self._alive(running.record) else None

    def running(self) -> set[str]:
        """Return the names of all daemons of this run directory, also those that are being respawned."""
        with self._lock:
            return set(self._known)

    def problems(self) -> dict[str, str]:
        """Return what is wrong with daemons that died lately: unit key (or name) -> words."""
        with self._lock:
            found = {}
            for name, running in self._known.items():
                if running.deaths and running.daemon:
                    again = "s" if running.deaths > 1 else ""
                    found[running.daemon.unit or name] = (
                        f"{running.daemon.argv[0]} died {running.deaths} time{again} lately"
                        + (f": {running.last_words}" if running.last_words else "")
                    )
            return found

    def log_file(self, name: str) -> Path:
        """Return where its standard output and standard error go."""
        return self._logs / f"{name}.log"

    def _load(self) -> None:
        unreadable = False
        for file in sorted(self._directory.glob("*.json")):
            try:
                record = msgspec.json.decode(file.read_bytes(), type=Record)
            except (OSError, msgspec.DecodeError) as error:
                log.error("%s: unreadable record of a daemon (%s); looking for its process", file, error)
                unreadable = True
                continue
            if self._alive(record):
                running = self._known[file.stem] = _Running(None, record)
                self._observe(file.stem, running)
            else:
                file.unlink(missing_ok=True)
        owned = {running.record.pid for running in self._known.values()}
        for pid, argv in processes.mentioning(str(self.run_dir)).items():
            if pid not in owned and processes.leads_session(pid):
                self._strays[pid] = argv
        if unreadable:
            log.info("processes without a record: %s", sorted(self._strays) or "none")

    def _adopt_stray(self, daemon: Daemon, fingerprint: str) -> _Running | None:
        """Adopt a process that an earlier agent started but could not record, if it is as described."""
        words = len(daemon.argv)  # haproxy appends to its command line when it reloads
        pid = next((pid for pid, argv in self._strays.items() if argv[:words] == daemon.argv), 0)
        self._strays.pop(pid, None)
        started = processes.start_time(pid)
        if not pid or started is None:
            return None
        record = Record(
            pid=pid,
            started=started,
            boot=self._boot,
            argv=daemon.argv,
            fingerprint=fingerprint if _older_than(daemon.files, pid) else "",
        )
        log.warning("%s: adopting process %d, which had no readable record", daemon.name, pid)
        running = self._known[daemon.name] = _Running(daemon, record)
        self._observe(daemon.name, running)
        self._write_record(daemon.name, record)
        return running

    def _start(self, daemon: Daemon, fingerprint: str, deaths: int = 0) -> None:
        for file in daemon.stale:
            Path(file).unlink(missing_ok=True)
        pid = self._spawn(daemon)
        record = Record(
            pid=pid,
            started=processes.start_time(pid) or 0,
            boot=self._boot,
            argv=daemon.argv,
            fingerprint=fingerprint,
        )
        running = self._known[daemon.name] = _Running(daemon, record, deaths=deaths)
        self._write_record(daemon.name, record)
        self._observe(daemon.name, running)

    def _spawn(self, daemon: Daemon) -> int:
        output = self.log_file(daemon.name)
        if output.exists() and output.stat().st_size > _LOG_LIMIT:
            output.replace(output.with_suffix(".log.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            with namespaces.entered(daemon.netns) if daemon.netns else nullcontext():
                return os.posix_spawnp(
                    daemon.argv[0],
                    daemon.argv,
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o640),
                        (os.POSIX_SPAWN_DUP2, 1, 2),
                    ],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_SIGNALS_RESET,
                )
        except OSError as error:
            raise SystemCommandError(" ".join(daemon.argv), str(error)) from None

    def _write_record(self, name: str, record: Record) -> None:
        file = self._directory / f"{name}.json"
        try:
            files.write(file, msgspec.json.encode(record).decode())
        except OSError as error:
            log.error("%s: %s; the next agent will look for the process by its command line", file, error)

    def _end(self, name: str) -> None:
        with self._lock:
            running = self._known.pop(name, None)
            if running is None:
                return
            self._forget(running)
        if self._alive(running.record):
            processes.end(running.record.pid, running.record.started)
        _reap(running.record.pid)

    def _alive(self, record: Record) -> bool:
        return record.boot == self._boot and processes.start_time(record.pid) == record.started

    def _observe(self, name: str, running: _Running) -> None:
        try:
            running.pidfd = os.pidfd_open(running.record.pid)
        except ProcessLookupError:
            self._died(name, running)
            return
        self._poll.register(running.pidfd, select.EPOLLIN)

    def _forget(self, running: _Running) -> None:
        if running.pidfd >= 0:
            self._poll.unregister(running.pidfd)
            os.close(running.pidfd)
            running.pidfd = -1

    def _watch(self) -> None:
        pause = 1.0
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll(pause)}
            with self._lock:
                for name, running in list(self._known.items()):
                    # A descriptor's number may be another process's since poll() returned.
                    if running.pidfd in ready and not self._alive(running.record):
                        self._died(name, running)
                    self._respawn_when_due(name, running)
                now = time.monotonic()
                due = (r.respawn_at - now for r in self._known.values() if r.respawn_at is not None)
                pause = max(0.0, min(due, default=1.0))

    def _died(self, name: str, running: _Running) -> None:
        self._forget(running)
        status = _reap(running.record.pid)
        if running.daemon is None:
            del self._known[name]
            return
        running.deaths += 1
        running.last_words = f"{status}; {_last_line(self.log_file(name))}".strip("; ")
        pause = min(BACK_OFF[0] * 2 ** (running.deaths - 1), BACK_OFF[1])
        running.respawn_at = time.monotonic() + pause
        log.warning(
            "%s (%s) died: %s; again in %.1f s", name, running.daemon.argv[0], running.last_words, pause
        )
        self._on_change()

    def _respawn_when_due(self, name: str, running: _Running) -> None:
        now = time.monotonic()
        if running.respawn_at is None:
            if running.deaths and now - running.born > HEALTHY:
                running.deaths = 0
                self._on_change()
            return
        if now < running.respawn_at or running.daemon is None:
            return
        try:
            words = running.last_words
            self._start(running.daemon, _fingerprint(running.daemon), running.deaths)
            self._known[name].last_words = words
        except SystemCommandError as error:
            running.deaths += 1
            running.last_words = str(error)
            running.respawn_at = now + BACK_OFF[1]


def _fingerprint(daemon: Daemon) -> str:
    digest = hashlib.sha256(msgspec.json.encode((daemon.argv, daemon.netns)))
    for name in daemon.files:
        try:
            content = Path(name).read_bytes()
        except OSError as error:
            raise SystemCommandError(" ".join(daemon.argv), f"{name}: {error.strerror}") from None
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _older_than(names: Sequence[str], pid: int) -> bool:
    born = processes.started_at(pid) or 0
    return all(Path(name).stat().st_mtime < born + 0.02 for name in names)


def _reap(pid: int) -> str:
    """Collect a dead child; return how it ended, as far as is known.

    It cannot be collected while threads of it are still ending, though it looks dead already.
    """
    deadline = time.monotonic() + _REAP_SECONDS
    done = status = 0
    while not done:
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return ""
        if not done:
            if time.monotonic() > deadline:
                return ""
            time.sleep(0.001)
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _last_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 400))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
