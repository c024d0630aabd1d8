"""Private servers, a fresh one a phase: nobody works on what another has left behind.

How hard a write must be on disk before it is answered is `fsync`: "always" (AOF always; synchronous_commit on) or
"everysec" (AOF everysec; synchronous_commit off, which PostgreSQL makes good within a second, too).
"""

import os
import shutil
import signal
import socket
import time
from contextlib import contextmanager
from pathlib import Path

from harness.processes import Child, Failed, run

START_MAX_S = 30
REDIS_OPTIONS = ["--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
POSTGRES_OPTIONS = ["shared_buffers=512MB", "max_wal_size=4GB", "max_connections=100"]
POSTGRES_USER = "compare"


class Server:
    def __init__(self, store, settings):
        self.store, self.settings = store, settings


@contextmanager
def started(kind, fsync, folder):
    """A fresh server; answers the address that drivers take. `folder` goes with it."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with {"redis": _redis, "postgres": _postgres, "file": _file}[kind](fsync, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _file(fsync, folder):
    yield Server(f"sqlite:{folder}/queue.db", "SQLite in the worker's process, synchronous=FULL")


@contextmanager
def _redis(fsync, folder):
    port = _free_port()
    argv = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", folder, "--appendfsync", fsync]
    child = Child(argv + REDIS_OPTIONS, {}, folder, folder / "log")
    try:
        _wait_until(child, lambda: _answers_ping(port))
        yield Server(f"redis://127.0.0.1:{port}/0", f"AOF, appendfsync {fsync}, no snapshots, noeviction")
    finally:
        child.stop()


@contextmanager
def _postgres(fsync, folder):
    port, data = _free_port(), folder / "data"
    as_user = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["setpriv", "--pdeathsig=KILL", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    initdb = ["-D", data, "-U", POSTGRES_USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    run(as_user + [postgres_program("initdb")] + initdb, cwd=folder)
    commit = "on" if fsync == "always" else "off"
    options = [f"synchronous_commit={commit}", *POSTGRES_OPTIONS]
    fixed = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
    argv = as_user + [postgres_program("postgres"), "-D", data, "-p", port]
    argv += [part for option in fixed + options for part in ("-c", option)]
    with open(folder / "log", "ab"):
        pass
    child = Child(argv, {}, folder, folder / "log")
    url = f"postgres://{POSTGRES_USER}@127.0.0.1:{port}/postgres"
    try:
        _wait_until(child, lambda: _answers_select(url))
        yield Server(url, "fsync on, " + ", ".join(option.replace("=", " ") for option in options))
    finally:
        child.process.send_signal(signal.SIGINT)  # cuts connections and goes; SIGTERM would wait for them
        child.stop()


def postgres_program(name):
    """Debian keeps the server's programs off the path."""
    for version in range(19, 8, -1):
        path = f"/usr/lib/postgresql/{version}/bin/{name}"
        if os.path.exists(path):
            return path
    return name


def _wait_until(child, ready):
    deadline = time.monotonic() + START_MAX_S
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise Failed(f"{child.argv[0]} does not answer within {START_MAX_S} s; see {child.log}")
        time.sleep(0.02)


def _answers_ping(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def _answers_select(url):
    try:
        run(["psql", "-X", "-q", "-d", url, "-c", "SELECT 1"], timeout_s=START_MAX_S)
        return True
    except Failed as failed:
        if "is needed" in str(failed):
            raise
        return False


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
