"""Installs the peers into the scratch folder at the versions that this folder pins, and builds Windlass' driver."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.processes import Failed, run
from harness.servers import postgres_program

INSTALL_MAX_S = 1800
NODE_DRIVERS = ["node", "bullmq", "graphile-worker"]


@dataclass
class Places:
    drivers: Path
    scratch: Path
    python: Path
    node: Path
    windlass: Path


def install(drivers, scratch, names, windlass, tell):
    """Everything that the named systems need; what is there at the right version is kept."""
    scratch.mkdir(parents=True, exist_ok=True)
    places = Places(drivers, scratch, scratch / "celery-venv/bin/python", scratch / "node", windlass)
    if "celery" in names:
        _celery(places, tell)
    if {"bullmq", "graphile-worker"} & set(names):
        _node(places, tell)
    if places.windlass is None and any(name.startswith("windlass") for name in names):
        tell("building Windlass' driver (release)")
        places.windlass = _windlass(drivers)
    return places


def _celery(places, tell):
    wanted = places.drivers / "celery/requirements.txt"
    installed = places.scratch / "celery-venv/requirements.txt"
    if _same(wanted, installed):
        return
    tell("installing Celery")
    shutil.rmtree(places.scratch / "celery-venv", ignore_errors=True)
    run([sys.executable, "-m", "venv", places.scratch / "celery-venv"], timeout_s=INSTALL_MAX_S)
    run([places.python, "-m", "pip", "install", "-q", "-r", wanted], timeout_s=INSTALL_MAX_S)
    shutil.copy(wanted, installed)


def _node(places, tell):
    """Node finds packages from where the importing file lies: the drivers are copied beside them."""
    places.node.mkdir(parents=True, exist_ok=True)
    wanted, installed = places.drivers / "node/package.json", places.node / "node_modules/wanted.json"
    if not _same(wanted, installed):
        tell("installing BullMQ and graphile-worker")
        shutil.rmtree(places.node, ignore_errors=True)
        places.node.mkdir()
        shutil.copy(wanted, places.node / "package.json")
        run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=places.node, timeout_s=INSTALL_MAX_S)
        shutil.copy(wanted, installed)
    for name in NODE_DRIVERS:
        shutil.rmtree(places.node / name, ignore_errors=True)
        shutil.copytree(places.drivers / name, places.node / name)


def _windlass(drivers):
    command = ["cargo", "build", "--release", "-p", "windlass-benches", "--bin", "windlass-compare-peer"]
    out = run(command + ["--message-format", "json-render-diagnostics"], cwd=drivers, timeout_s=INSTALL_MAX_S)
    built = [json.loads(line).get("executable") for line in out.splitlines() if line.startswith("{")]
    built = [path for path in built if path]
    if not built:
        raise Failed("cargo built no windlass-compare-peer")
    return Path(built[-1])


def _same(wanted, installed):
    return installed.exists() and installed.read_text() == wanted.read_text()


def versions(places, names):
    """What was really installed, and the servers and interpreters beside it."""
    found = {}
    if "celery" in names:
        frozen = run([places.python, "-m", "pip", "freeze"]).splitlines()
        found.update(line.split("==") for line in frozen if line.split("==")[0] in ("celery", "kombu", "redis"))
        found["redis-py"] = found.pop("redis")
        found["python"] = sys.version.split()[0]
    if {"bullmq", "graphile-worker"} & set(names):
        packages = {"bullmq": ["bullmq", "ioredis"], "graphile-worker": ["graphile-worker"]}
        for name in [package for name in names for package in packages.get(name, [])]:
            found[name] = json.loads((places.node / f"node_modules/{name}/package.json").read_text())["version"]
        found["node"] = run(["node", "--version"]).strip()
    if "graphile-worker" in names:
        found["PostgreSQL"] = run([postgres_program("postgres"), "--version"]).split()[2]
    if set(names) - {"graphile-worker", "windlass-sqlite"}:
        found["redis-server"] = run(["redis-server", "--version"]).split("v=")[1].split()[0]
    if any(name.startswith("windlass") for name in names):
        git = ["git", "-C", str(places.drivers), "describe", "--always", "--dirty"]
        found["windlass"] = f"{run(git).strip()} ({places.windlass})"
    return found


def machine(scratch):
    """What the figures were taken on."""
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo") as file:
        kib = int(next(file).split()[1])
    device = run(["df", "--output=fstype,source", scratch]).splitlines()[-1].split()
    return {
        "cpu": f"{os.cpu_count()} x {models[0] if models else os.uname().machine}",
        "memory": f"{kib / 2**20:.0f} GiB",
        "kernel": f"{os.uname().sysname} {os.uname().release}",
        "disk": f"{device[0]} on {device[1]}",
    }
