"""The results as Markdown: medians over the rounds with the least and the most."""

from statistics import median


def markdown(results):
    parts = ["# Windlass beside other queues", _facts(results), _rates(results), _kills(results)]
    failures = [run for run in results["runs"] if "failed" in run]
    if failures:
        told = [f"- round {run['round']}, {run['system']}, {run['phase']}: {_line(run['failed'])}" for run in failures]
        parts.append("## What failed\n\n" + "\n".join(told))
    parts.append(_settings(results))
    return "\n\n".join(parts) + "\n"


def _facts(results):
    machine = ", ".join(results["machine"].values())
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    rounds = results["rounds"]
    load = " ".join(f"{load:.2f}" for load in results["load_averages"])
    return (
        f"{results['began']}, {rounds} round{'s' if rounds > 1 else ''} in turns; command: `{results['command']}`.\n\n"
        f"Machine: {machine}. Load average (1 min) before each round and after the last: {load}.\n\n"
        f"Versions: {versions}."
    )


COLUMNS = [
    ("bulk enqueue /s", "drain", [("enqueued_per_s", "{:,.0f}")]),
    ("drain /s", "drain", [("drained_per_s", "{:,.0f}")]),
    ("enqueue -> start p50 ms", "paced", [("start_p50_ms", "{:.2f}")]),
    ("p99 ms", "paced", [("start_p99_ms", "{:.2f}")]),
    ("idle RSS MiB (PSS)", "paced", [("idle_rss_mib", "{:.0f}"), ("idle_pss_mib", "{:.0f}")]),
    ("RSS MiB in the drain", "drain", [("load_rss_mib", "{:.0f}")]),
]


def _rates(results):
    if not _rows(results):
        return "## Rates, waits, memory\n\nNot measured."
    lines = ["## Rates, waits, memory", ""]
    lines.append("Median (least-most). Enqueue, drain and the memory in it: the setting that drained fastest.")
    titles = [title for title, _, _ in COLUMNS] + ["jobs in flight after kill -9, defaults"]
    lines += ["", "| | on disk | " + " | ".join(titles) + " |", "| --- | --- |" + " --- |" * len(titles)]
    fates = _fates(results)
    for title, fsync, runs in _rows(results):
        best = _best_drain([run for run in runs if run["phase"] == "drain"])
        cells = []
        for _, phase, figures in COLUMNS:
            shown = best if phase == "drain" else [run for run in runs if run["phase"] == phase]
            cells.append(_cell(shown, figures))
        cells.append(fates.get(title, "-"))
        lines.append(f"| {title} | {fsync} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rows(results):
    """Title, fsync and runs, a system's rows together, systems in the order of their first appearance."""
    rows = {}
    for run in results["runs"]:
        if run["phase"] != "kill":
            rows.setdefault((run["title"], run["fsync"]), []).append(run)
    titles = list(dict.fromkeys(title for title, _ in rows))
    ordered = sorted(rows, key=lambda row: titles.index(row[0]))
    return [(title, fsync, rows[title, fsync]) for title, fsync in ordered]


def _best_drain(runs):
    """Of the settings that were tried, the runs of the one that drained fastest."""
    by_setting = {}
    for run in runs:
        by_setting.setdefault(run["setting"], []).append(run)
    done = [runs for runs in by_setting.values() if any("drained_per_s" in run for run in runs)]
    return max(done, key=lambda runs: median(_figures(runs, "drained_per_s")), default=runs)


def _cell(runs, figures):
    (key, form), *more = figures
    values = _figures(runs, key)
    if not values:
        return "failed" if runs else "-"
    cell = form.format(median(values))
    if more:
        cell += " (" + more[0][1].format(median(_figures(runs, more[0][0]))) + ")"
    elif len(values) > 1:
        cell += f" ({form.format(min(values))}-{form.format(max(values))})"
    if len(values) < len(runs):
        cell += f", {len(runs) - len(values)} of {len(runs)} failed"
    return cell


def _figures(runs, key):
    return [run[key] for run in runs if key in run]


def _fates(results):
    """What became of the jobs in flight, by title: with each system's first setting, its defaults."""
    by_title = {}
    for run in results["runs"]:
        if run["phase"] == "kill":
            by_title.setdefault(run["title"], []).append(run)
    fates = {}
    for title, runs in by_title.items():
        runs = [run for run in runs if run["setting"] == runs[0]["setting"] and "failed" not in run]
        if not runs:
            fates[title] = "failed"
        elif any(run["again"] for run in runs):
            fates[title] = f"{_of(runs, 'again', 'in_flight')} again after {_seconds(runs, 'last_again_s')} s"
        else:
            fates[title] = f"none again within {results['kill_wait']:.0f} s"
    return fates


def _kills(results):
    runs = [run for run in results["runs"] if run["phase"] == "kill"]
    if not runs:
        return "## After kill -9 of the worker\n\nNot measured."
    head = "| | setting | of those in flight ran again | the last after s | of those behind ran | the last after s | ended twice |"
    lines = ["## After kill -9 of the worker", "", f"A new worker starts at once; watched for {results['kill_wait']:.0f} s."]
    lines += ["", head, "| --- | --- | --- | --- | --- | --- | --- |"]
    rows = {}
    for run in runs:
        rows.setdefault((run["title"], run["setting"]), []).append(run)
    for (title, setting), all_runs in rows.items():
        runs = [run for run in all_runs if "failed" not in run]
        if not runs:
            lines.append(f"| {title} | {setting} | failed | | | | |")
            continue
        cells = [
            _of(runs, "again", "in_flight"), _seconds(runs, "last_again_s"),
            _of(runs, "behind_ran", "behind"), _seconds(runs, "behind_last_s"), _range(runs, "ended_twice"),
        ]
        lines.append(f"| {title} | {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _of(runs, key, whole):
    return f"{_range(runs, key)} of {runs[0][whole]}"


def _range(runs, key):
    values = sorted({run[key] for run in runs})
    return str(values[0]) if len(values) == 1 else f"{values[0]}-{values[-1]}"


def _seconds(runs, key):
    values = [run[key] for run in runs if run[key] is not None]
    if not values:
        return "-"
    spread = f" ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else ""
    return f"{median(values):.1f}{spread}"


def _settings(results):
    lines = ["## Settings", "", f"200 B of payload; "
             f"paced: {results['per_s']} jobs/s for {results['paced']} s."]
    told = {}
    for run in results["runs"]:
        if run["phase"] == "drain" and "server" in run:
            told.setdefault((run["title"], run["fsync"]), (run["server"], {}))[1].setdefault(run["setting"], []).append(run)
    for (title, fsync), (server, settings) in told.items():
        lines += ["", f"- {title}, {fsync}: {server}"]
        for setting, runs in settings.items():
            lines.append(f"  - {setting}: {_cell(runs, [('drained_per_s', '{:,.0f}')])} drained/s of {runs[0]['jobs']:,} jobs")
    bulk = sorted({f"{run['title']}: {run['bulk']}" for run in results["runs"] if "bulk" in run})
    if bulk:
        lines += ["", "Bulk calls: " + "; ".join(bulk) + "."]
    return "\n".join(lines)


def _line(text):
    return " ".join(text.split())[:600]
