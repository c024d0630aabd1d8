"""What the tasks tell: JSON lines in a file a process, which the harness reads.

Opened at the first task, since a prefork worker runs tasks in children of its own.
"""

import json
import os
import threading
import time
from collections import deque

FLUSH_S = 0.05


def now_us():
    return time.time_ns() // 1_000


class Reports:
    def __init__(self):
        self.pid = None

    def ran(self, at_us):
        now = now_us()
        self._open()
        if self.count == 0:
            self.first_us = now
        if at_us:
            self.waits_us.append(now - at_us)
        self.last_us = now
        self.count += 1

    def began(self, n):
        self._open()
        self._write({"began": n, "at_us": now_us()})

    def ended(self, n):
        self._write({"ended": n, "at_us": now_us()})

    def _open(self):
        if self.pid == os.getpid():
            return
        self.pid = os.getpid()
        self.count = self.told = self.first_us = self.last_us = 0
        self.waits_us = deque()
        path = os.path.join(os.environ["COMPARE_REPORTS"], f"{self.pid}.jsonl")
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        threading.Thread(target=self._flush_forever, daemon=True).start()

    def _flush_forever(self):
        while True:
            time.sleep(FLUSH_S)
            # `count` is written last by `ran`: what is read before it is never newer than it says.
            count = self.count
            if count > self.told:
                waits = [self.waits_us.popleft() for _ in range(len(self.waits_us))]
                self.told = count
                line = {"ran": count, "first_us": self.first_us, "last_us": self.last_us, "waits_us": waits}
                self._write(line)

    def _write(self, line):
        os.write(self.file, (json.dumps(line) + "\n").encode())


REPORTS = Reports()
