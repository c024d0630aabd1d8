"""Reads what the jobs of a phase report: JSON lines, a file a process, all of the same form for all systems.

`{"ran": n, "first_us": …, "last_us": …, "waits_us": […]}`: so many ran in that process so far, the first and the last
at these instants of wall time, and so long the timed ones since the line before had waited.
`{"began": n, "at_us": …}`, `{"ended": n, "at_us": …}`: job `n` that holds, written at once.
"""

import json
from pathlib import Path


class Reports:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = {}
        self._counted = {}
        self.waits_us, self.began, self.ended = [], [], []

    def read(self):
        """Takes in what is new; answers how many no-op jobs ran in all."""
        for path in self.folder.glob("*.jsonl"):
            if path not in self._files:
                self._files[path] = [open(path, "rb"), b""]
            opened = self._files[path]
            *lines, opened[1] = (opened[1] + opened[0].read()).split(b"\n")
            for line in lines:
                self._take(path, json.loads(line))
        return sum(line["ran"] for line in self._counted.values())

    def span_s(self):
        """From the start of the first job to the start of the last."""
        lines = self._counted.values()
        return (max(line["last_us"] for line in lines) - min(line["first_us"] for line in lines)) / 1e6

    def close(self):
        for file, _ in self._files.values():
            file.close()

    def _take(self, path, line):
        if "ran" in line:
            self._counted[path] = line
            self.waits_us += line["waits_us"]
        elif "began" in line:
            self.began.append((line["began"], line["at_us"]))
        else:
            self.ended.append((line["ended"], line["at_us"]))
