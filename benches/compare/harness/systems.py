"""The systems: how each is told to enqueue and to work, and with which settings.

A setting is what its own documents advise; its words stand in the results.
"""

import json
from dataclasses import dataclass, field


@dataclass
class Setting:
    words: str
    workers: list  # a command line each
    env: dict = field(default_factory=dict)


@dataclass
class System:
    name: str
    title: str
    server: str
    cwd: str
    enqueue: list  # the client's command line, before its arguments
    bulk_words: str
    batch: int  # jobs a bulk call, unless --batch says otherwise
    jobs: int  # in a drain, unless --jobs says otherwise: a few seconds' worth
    drains: list  # the first of them also runs the paced jobs
    kills: list
    fsyncs: tuple = ("everysec", "always")
    # The carrier belongs to one process: that enqueues the paced jobs, too.
    one_process: bool = False

    def bulk(self, jobs, kind, batch):
        if self.name.startswith("windlass"):
            return self.enqueue + ["enqueue", jobs, "--kind", kind, "--batch", batch]
        return self.enqueue + ["bulk", jobs, kind, batch]

    def paced(self, jobs, per_s):
        return self.enqueue + ["paced", jobs, per_s]


# Of worker.graphile.org/docs/performance.
GRAPHILE_PRESET = {
    "concurrentJobs": 24,
    "maxPoolSize": 25,
    "localQueue": {"size": 500},
    "completeJobBatchDelay": 0,
    "failJobBatchDelay": 0,
}


def all_systems(places, in_flight):
    """Every system, by name. `places`: what installing has answered; `in_flight`: jobs at once in the kill phase."""
    built = [
        _windlass(places, in_flight),
        _windlass_sqlite(places, in_flight),
        _celery(places, in_flight),
        _bullmq(places, in_flight),
        _graphile(places, in_flight),
    ]
    return {system.name: system for system in built}


NAMES = ["windlass", "windlass-sqlite", "celery", "bullmq", "graphile-worker"]


def _windlass(places, in_flight):
    program = [places.windlass]
    return System(
        name="windlass",
        title="Windlass, Redis",
        server="redis",
        cwd=places.scratch,
        enqueue=program,
        bulk_words="Store::enqueue",
        batch=1_000,
        jobs=100_000,
        drains=[Setting("1 process, 32 slots (defaults)", [program + ["work"]])],
        kills=[Setting("defaults (lease 15 s)", [program + ["work", "--slots", in_flight]])],
    )


def _windlass_sqlite(places, in_flight):
    system = _windlass(places, in_flight)
    system.name, system.title, system.server = "windlass-sqlite", "Windlass, SQLite", "file"
    system.fsyncs, system.one_process = ("always",), True
    return system


def _celery(places, in_flight):
    worker = [places.python, "-m", "celery", "-A", "tasks", "worker", "-l", "WARNING"]
    # Of docs.celeryq.dev, "Optimizing", and what its worker need not do alone on a machine.
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    solo = [worker + quiet + ["-P", "solo", "-n", f"solo{i}@%h"] for i in (1, 2)]
    many = {"COMPARE_TUNED": "drain"}
    return System(
        name="celery",
        title="Celery",
        server="redis",
        cwd=places.drivers / "celery",
        enqueue=[places.python, "enqueue.py"],
        bulk_words="apply_async: it has no bulk call",
        batch=1,
        jobs=10_000,
        drains=[
            Setting("prefork -c 2, prefetch 128", [worker + quiet + ["-P", "prefork", "-c", 2]], many),
            Setting("2 workers -P solo, prefetch 128", solo, many),
        ],
        kills=[
            Setting("defaults", [worker + ["-c", in_flight]]),
            Setting(
                "acks_late, prefetch 1, visibility_timeout 30 s",
                [worker + ["-c", in_flight]],
                {"COMPARE_TUNED": "kill"},
            ),
        ],
    )


def _bullmq(places, in_flight):
    def worker(concurrency, **options):
        return ["node", places.node / "bullmq/worker.mjs", concurrency, json.dumps(options)]

    return System(
        name="bullmq",
        title="BullMQ",
        server="redis",
        cwd=places.node,
        enqueue=["node", places.node / "bullmq/enqueue.mjs"],
        bulk_words="addBulk",
        batch=1_000,
        jobs=50_000,
        drains=[
            Setting(
                "1 process, concurrency 100, removeOnComplete 1000",
                [worker(100, removeOnComplete={"count": 1000})],
            ),
            Setting(
                "2 processes, concurrency 50 each, removeOnComplete 1000",
                [worker(50, removeOnComplete={"count": 1000})] * 2,
            ),
        ],
        kills=[
            Setting("defaults (lock 30 s, look every 30 s)", [worker(in_flight)]),
            Setting("lock 5 s, look every 5 s", [worker(in_flight, lockDuration=5000, stalledInterval=5000)]),
        ],
    )


def _graphile(places, in_flight):
    def worker(options):
        return ["node", places.node / "graphile-worker/worker.mjs", json.dumps(options)]

    pool = {"concurrentJobs": in_flight, "maxPoolSize": in_flight + 2}
    return System(
        name="graphile-worker",
        title="graphile-worker",
        server="postgres",
        cwd=places.node,
        enqueue=["node", places.node / "graphile-worker/enqueue.mjs"],
        bulk_words="addJobs",
        batch=5_000,
        jobs=50_000,
        drains=[
            Setting("1 process, 24 at once, local queue 500, completions batched", [worker(GRAPHILE_PRESET)])
        ],
        kills=[
            Setting("defaults", [worker(pool)]),
            Setting("local queue 500, completions batched", [worker({**GRAPHILE_PRESET, **pool})]),
        ],
    )
