"""Child processes: started so that none outlives the harness, whatever ends it; their memory; their end."""

import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
TERM_WAIT_S = 10
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_libc = ctypes.CDLL(None, use_errno=True)
_alive = []


class Failed(Exception):
    """A phase did not work; the text says what to look at."""


class Child:
    """A process in a session of its own, so that Ctrl-C reaches only the harness, which then ends it."""

    def __init__(self, argv, env, cwd, log):
        self.argv, self.log = [str(part) for part in argv], log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                self.argv, env={**os.environ, **env}, cwd=cwd, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True, preexec_fn=_die_with_parent,
            )
        _alive.append(self)

    def pids(self):
        """Its own process id and those of all below it."""
        return tree(self.process.pid)

    def check(self):
        """Raises when it ended by itself."""
        code = self.process.poll()
        if code is not None:
            raise Failed(f"{' '.join(self.argv[:4])} … ended with {code}:\n{tail(self.log)}")

    def stop(self):
        """SIGTERM, and SIGKILL to what is left of it after a while."""
        pids = self.pids()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TERM_WAIT_S)
            except subprocess.TimeoutExpired:
                pass
        self._kill(pids)

    def kill(self):
        """SIGKILL to it and all below it, as when the power goes; returns when all are gone."""
        self._kill(self.pids())

    def _kill(self, pids):
        for pid in pids:
            _signal(os.kill, pid)
        _signal(os.killpg, self.process.pid)
        self.process.wait()
        deadline = time.monotonic() + TERM_WAIT_S
        while any(_runs(pid) for pid in pids):
            if time.monotonic() > deadline:
                raise Failed(f"{self.argv[0]}: processes {pids} do not end")
            time.sleep(0.005)
        if self in _alive:
            _alive.remove(self)


def run(argv, env=None, cwd=None, timeout_s=600):
    """Runs a program to its end within a time; answers its standard output."""
    argv = [str(part) for part in argv]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **(env or {})}, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=timeout_s, preexec_fn=_die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(argv[:5])} … did not end within {timeout_s} s") from None
    except FileNotFoundError as missing:
        raise Failed(f"{argv[0]} is needed and is not there: {missing}") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv[:5])} … ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def stop_all():
    """Ends whatever still runs, the newest first."""
    while _alive:
        child = _alive.pop()
        pids = child.pids()
        _signal(os.killpg, child.process.pid)
        for pid in pids:
            _signal(os.kill, pid)
        child.process.wait()


def tree(root):
    """The process and all below it, as /proc tells now."""
    below = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(name)
            if fields:
                below.setdefault(int(fields[1]), []).append(int(name))
    pids, found = [root], 0
    while found < len(pids):
        pids += below.get(pids[found], [])
        found += 1
    return pids


def rss_mib(pids):
    """Resident memory in MiB, summed over processes: pages that they share count for each."""
    return sum(_resident_bytes(pid) for pid in pids) / 2**20


def pss_mib(pids):
    """The same with shared pages divided among those that share them."""
    kib = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                kib += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return kib / 1024


def tail(path, characters=1500):
    try:
        with open(path, errors="replace") as file:
            return file.read()[-characters:]
    except OSError:
        return "(no log)"


def _resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def _runs(pid):
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def _stat(pid):
    """State, parent and so on: what comes after the command, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _signal(send, pid):
    try:
        send(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it has gone


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
