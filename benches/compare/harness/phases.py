"""The phases of a turn: enqueue and drain, paced jobs. Each on a fresh server; each within a time."""

import json
import shutil
import time
from contextlib import contextmanager

from harness.processes import Child, Failed, pss_mib, rss_mib, run
from harness.reports import Reports
from harness.servers import started

LOOK_S = 0.02
RSS_EVERY_S = 0.25


class Bench:
    """One system on one fresh server: its clients, its workers and what they report."""

    def __init__(self, system, setting, server, folder, phase_max_s):
        self.system, self.setting, self.server = system, setting, server
        self.folder, self.phase_max_s = folder, phase_max_s
        self.reports = Reports(folder / "reports")
        self.hold = folder / "hold"
        self.workers = []

    def client(self, command):
        """Runs a client to its end; answers its line."""
        out = run(command, self._env({}), self.system.cwd, self.phase_max_s)
        return json.loads(out.strip().splitlines()[-1])

    def prepare(self):
        """Makes the tables of a system that has some, so that no phase pays for them."""
        if self.system.server == "postgres":
            run(self.system.enqueue + ["migrate"], self._env({}), self.system.cwd, self.phase_max_s)

    def start_workers(self, extra=()):
        env = self._env(self.setting.env)
        for number, command in enumerate(self.setting.workers):
            log = self.folder / f"worker{number}.log"
            self.workers.append(Child(command + list(extra), env, self.system.cwd, log))

    def pids(self):
        return [pid for worker in self.workers for pid in worker.pids()]

    def until(self, reached, what):
        """Waits for a condition on the reports; answers the most memory that the workers had meanwhile."""
        deadline = time.monotonic() + self.phase_max_s
        peak, next_look = 0.0, 0.0
        while True:
            ran = self.reports.read()
            if reached(ran):
                return max(peak, rss_mib(self.pids()))
            for worker in self.workers:
                worker.check()
            now = time.monotonic()
            if now > deadline:
                raise Failed(f"{what}: not within {self.phase_max_s} s; {ran} no-op jobs ran")
            if now >= next_look:
                peak, next_look = max(peak, rss_mib(self.pids())), now + RSS_EVERY_S
            time.sleep(LOOK_S)

    def stop_workers(self):
        for worker in self.workers:
            worker.stop()
        self.workers = []

    def kill_workers(self):
        for worker in self.workers:
            worker.kill()
        self.workers = []

    def _env(self, extra):
        ours = {
            "COMPARE_STORE": self.server.store,
            "COMPARE_REPORTS": str(self.reports.folder),
            "COMPARE_HOLD": str(self.hold),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NODE_ENV": "production",
        }
        return {**ours, **extra}


@contextmanager
def bench(system, setting, fsync, folder, phase_max_s):
    """A fresh server with nothing in it; server, workers and folder go with the phase."""
    with started(system.server, fsync, folder / "server") as server:
        made = Bench(system, setting, server, folder, phase_max_s)
        try:
            made.prepare()
            yield made
        finally:
            made.stop_workers()
            made.reports.close()
            shutil.rmtree(folder / "reports", ignore_errors=True)


def enqueue_and_drain(system, setting, fsync, folder, options):
    """Bulk enqueue, then the drain of that backlog: from the start of the first job to the start of the last."""
    jobs, batch = options.jobs or system.jobs, options.batch or system.batch
    with bench(system, setting, fsync, folder, options.phase_max) as at:
        line = at.client(system.bulk(jobs, "noop", batch))
        if line["enqueued"] != jobs:
            raise Failed(f"{line['enqueued']} of {jobs} jobs were enqueued")
        at.start_workers()
        peak = at.until(lambda ran: ran >= jobs, "the drain")
        at.stop_workers()
        ran = at.reports.read()
        if ran != jobs:
            raise Failed(f"{jobs} jobs were enqueued and {ran} ran")
        return {
            "jobs": jobs,
            "bulk": f"{system.bulk_words}, {batch:,} a call",
            "setting": setting.words,
            "server": at.server.settings,
            "enqueued_per_s": jobs / line["seconds"],
            "drained_per_s": (jobs - 1) / at.reports.span_s(),
            "load_rss_mib": peak,
        }


def idle_and_paced(system, fsync, folder, options):
    """Memory of workers that have run one job and wait; then enqueue -> start for jobs at an even pace."""
    setting = system.drains[0]
    jobs = options.paced * options.per_s + options.per_s
    with bench(system, setting, fsync, folder, options.phase_max) as at:
        at.client(system.bulk(1, "noop", 1))
        at.start_workers()
        at.until(lambda ran: ran == 1, "the first job")
        time.sleep(options.idle)  # there is nothing to wait for: what is measured is that nothing happens
        pids = at.pids()
        idle = {"idle_rss_mib": rss_mib(pids), "idle_pss_mib": pss_mib(pids)}
        if system.one_process:
            at.stop_workers()
            at.start_workers(["--paced", jobs, "--per-s", options.per_s])
            expected = jobs + 2
            at.until(lambda _: len(at.reports.waits_us) >= jobs - options.per_s, "the paced jobs")
        else:
            at.client(system.paced(jobs, options.per_s))
            expected = jobs + 1
            at.until(lambda ran: ran >= expected, "the paced jobs")
        at.stop_workers()
        ran, waits = at.reports.read(), sorted(at.reports.waits_us)
        if ran != expected or len(waits) != jobs - options.per_s:
            raise Failed(f"{expected} jobs were enqueued and {ran} ran; {len(waits)} were timed")
        return {
            **idle,
            "setting": setting.words,
            "timed": len(waits),
            "start_p50_ms": percentile(waits, 0.50) / 1e3,
            "start_p99_ms": percentile(waits, 0.99) / 1e3,
            "start_max_ms": waits[-1] / 1e3,
        }


def percentile(ordered, share):
    return ordered[round((len(ordered) - 1) * share)]
