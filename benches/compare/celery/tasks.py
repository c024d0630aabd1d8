"""Celery's driver: the two tasks that every driver has, and how the worker is set.

`celery -A tasks worker …` runs them. COMPARE_TUNED=drain sets what Celery's "Optimizing" page says for many short
tasks; COMPARE_TUNED=kill sets what its documents say for tasks that a dead worker must not lose. Results are kept
nowhere, as for jobs whose answers nobody reads.
"""

import os
import time

from celery import Celery

from reports import REPORTS

app = Celery("compare", broker=os.environ["COMPARE_STORE"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)

TUNED = {
    "": {},
    "drain": {"worker_prefetch_multiplier": 128},
    "kill": {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "broker_transport_options": {"visibility_timeout": 30},
    },
}
app.conf.update(TUNED[os.environ.get("COMPARE_TUNED", "")])


@app.task(name="noop")
def noop(at_us, pad):
    REPORTS.ran(at_us)


@app.task(name="hold")
def hold(n):
    REPORTS.began(n)
    while os.path.exists(os.environ["COMPARE_HOLD"]):
        time.sleep(0.05)
    REPORTS.ended(n)
