"""SIGKILL of the workers with jobs in flight: which of them run again, when, and which twice.

All systems wait at the same time, each on its own server: waiting costs no CPU, and some wait for hours.
"""

import time
from contextlib import ExitStack

from harness.phases import bench
from harness.processes import Failed

BEHIND = 40
PREFETCH_S = 2.0
LOOK_S = 0.1
LINGER_S = 20.0


class Victim:
    """One system with one setting: killed, started again, watched."""

    def __init__(self, stack, system, setting, fsync, folder, options):
        self.system, self.setting, self.options = system, setting, options
        self.at = stack.enter_context(bench(system, setting, fsync, folder, options.phase_max))

    def kill(self):
        """Brings the jobs in flight, others behind them, and kills; a new worker starts at once."""
        at, in_flight = self.at, self.options.in_flight
        at.hold.touch()
        at.client(self.system.bulk(in_flight + BEHIND, "hold", in_flight + BEHIND))
        at.start_workers()
        at.until(lambda _: len(at.reports.began) >= in_flight, "jobs in flight")
        time.sleep(PREFETCH_S)  # workers take more than they run, and no system tells when it has
        at.kill_workers()
        self.killed_us = time.time_ns() // 1000
        at.reports.read()
        self.in_flight = {n for n, _ in at.reports.began}
        if len(self.in_flight) != in_flight or at.reports.ended:
            raise Failed(f"{in_flight} jobs should run at once, {len(self.in_flight)} did")
        at.hold.unlink()
        at.start_workers()

    def look(self):
        """Whether every job has ended."""
        self.at.reports.read()
        for worker in self.at.workers:
            worker.check()
        return len({n for n, _ in self.at.reports.ended}) == self.options.in_flight + BEHIND

    def outcome(self):
        again = {}
        for n, at_us in self.at.reports.began:
            if at_us > self.killed_us:
                again.setdefault(n, (at_us - self.killed_us) / 1e6)
        ends = [n for n, _ in self.at.reports.ended]
        in_flight = sorted(after for n, after in again.items() if n in self.in_flight)
        behind = sorted(after for n, after in again.items() if n not in self.in_flight)
        return {
            "setting": self.setting.words,
            "in_flight": len(self.in_flight),
            "again": len(in_flight),
            "first_again_s": in_flight[0] if in_flight else None,
            "last_again_s": in_flight[-1] if in_flight else None,
            "behind": BEHIND,
            "behind_ran": len(behind),
            "behind_last_s": behind[-1] if behind else None,
            "ended_twice": sum(ends.count(n) > 1 for n in set(ends)),
        }


def kill_all(systems, fsync, folder, options, tell):
    """Answers `[(system, outcome or the words of a failure)]` after all have ended or the wait is over."""
    outcomes, victims = [], []
    with ExitStack() as stack:
        for system in systems:
            for number, setting in enumerate(system.kills):
                tell(f"{system.title}: kill -9, {setting.words}")
                hard = fsync if fsync in system.fsyncs else system.fsyncs[-1]
                place = folder / f"kill-{system.name}-{number}"
                try:
                    place.mkdir(parents=True, exist_ok=True)
                    victim = Victim(stack, system, setting, hard, place, options)
                    victim.kill()
                    victims.append(victim)
                except Failed as failed:
                    outcomes.append((system, {"setting": setting.words, "failed": str(failed)}))
        outcomes += _watch(victims, options.kill_wait, tell)
    return outcomes


def _watch(victims, wait_s, tell):
    """Until every job of all has ended and a second run had time to come, or the wait is over."""
    if not victims:
        return []
    tell(f"waiting for what runs again, at most {wait_s:.0f} s")
    deadline = max(victim.killed_us for victim in victims) / 1e6 + wait_s
    outcomes, all_ended = [], False
    while time.time() < deadline:
        for victim in list(victims):
            try:
                victim.ended = victim.look()
            except Failed as failed:
                victims.remove(victim)
                outcomes.append((victim.system, {"setting": victim.setting.words, "failed": str(failed)}))
        if not all_ended and all(victim.ended for victim in victims):
            deadline, all_ended = min(deadline, time.time() + LINGER_S), True
        time.sleep(LOOK_S)
    return outcomes + [(victim.system, victim.outcome()) for victim in victims]
