"""Makes jobs for Celery: `enqueue.py bulk N noop|hold BATCH` or `enqueue.py paced N PER_S`.

Celery has no call that enqueues many (a group sends its tasks one by one), so bulk is one caller that sends on one
connection as fast as it can, whatever BATCH says. Of paced jobs those of the first second are not timed: client and worker warm up.
"""

import json
import sys
import time

from reports import now_us
from tasks import app, hold, noop

PAD = "x" * 200


def bulk(producer, n, kind):
    for i in range(n):
        if kind == "hold":
            hold.apply_async((i,), producer=producer)
        else:
            noop.apply_async((0, PAD), producer=producer)


def paced(producer, n, per_s):
    began = time.monotonic()
    for i in range(n):
        time.sleep(max(0.0, began + i / per_s - time.monotonic()))
        at_us = now_us() if i >= per_s else 0
        noop.apply_async((at_us, PAD), producer=producer)


def main(command, n, rest, batch=None):
    with app.producer_or_acquire() as producer:
        producer.connection.ensure_connection(max_retries=3)
        producer.channel  # opened before the clock runs
        began = time.monotonic()
        if command == "bulk":
            bulk(producer, int(n), rest)
        else:
            paced(producer, int(n), float(rest))
        print(json.dumps({"enqueued": int(n), "seconds": time.monotonic() - began}))


main(*sys.argv[1:])
