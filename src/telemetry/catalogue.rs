//! Every metric that Windlass tells: name, kind, unit, meaning. A name is a promise to dashboards and alerts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric. Its unit is in its name.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, help }
}

pub const METRICS: &[Metric] = &[
    // Jobs and queues.
    counter("windlass_jobs_enqueued_total", "Jobs that the front door accepted"),
    counter("windlass_jobs_finished_total", "Attempts that ended, by outcome"),
    histogram("windlass_job_run_seconds", "How long an attempt ran"),
    histogram("windlass_job_wait_seconds", "From due to started"),
    counter("windlass_jobs_fenced_out_total", "Ends that came too late: another worker held the job"),
    counter("windlass_jobs_lease_lost_total", "Jobs that a worker lost while it ran them"),
    counter("windlass_jobs_reaped_total", "Jobs put back after their worker died"),
    counter("windlass_jobs_poisoned_total", "Jobs that outlived too many workers"),
    counter("windlass_jobs_pruned_total", "Ended jobs that were forgotten"),
    gauge("windlass_queue_jobs", "Jobs by queue and state"),
    gauge("windlass_queue_oldest_ready_seconds", "How long the oldest ready job has waited"),
    gauge("windlass_queue_gate", "1 for what holds the queue back"),
    gauge("windlass_queue_suggested_workers", "Workers that the pace and the backlog of the queue ask for"),
    gauge("windlass_books_imbalance", "Jobs by which the books of a queue do not balance: 0"),
    gauge(
        "windlass_books_read_timestamp_seconds",
        "When the gauges of queues and ledger were last all read, since 1970-01-01 UTC",
    ),
    gauge("windlass_workers", "Workers that beat of late"),
    gauge("windlass_worker_slots", "Slots of this worker, by state"),
    // Schedules.
    gauge(
        "windlass_schedule_lag_seconds",
        "How long after its instant the last job was handed over, in the shop's time",
    ),
    counter(
        "windlass_schedule_fired_total",
        "Instants by outcome: fired, already, overlapped, missed, paused, refused",
    ),
    gauge(
        "windlass_schedule_next_timestamp_seconds",
        "When the schedule is due next, or was due and nobody handed it over, in the shop's time",
    ),
    gauge("windlass_schedule_gap_seconds", "From the instant before to the one that is due next"),
    gauge(
        "windlass_schedule_last_success_timestamp_seconds",
        "When a job of the schedule last completed in this process, since 1970-01-01 UTC",
    ),
    // The log itself.
    counter(
        "windlass_log_lines_dropped_total",
        "Lines that are not in the log files, by file and reason: queue_full, cannot_write",
    ),
    counter(
        "windlass_audit_failures_total",
        "Decisions about money that were put off because their line could not be written to the payment audit",
    ),
    // Housekeeping.
    counter("windlass_rows_pruned_total", "Rows of the ledger that retention removed, by table"),
    gauge("windlass_backup_last_success_timestamp_seconds", "When the newest good backup was taken, by kind"),
    // The business.
    counter("windlass_effects_total", "Effects on the outside, by outcome"),
    gauge("windlass_effects_in_doubt", "Effects of which nobody knows whether they happened"),
    gauge("windlass_findings_open", "Cases that wait for a person, by type"),
    counter("windlass_findings_raised_total", "Cases that were raised, by type"),
    counter("windlass_reconciliations_total", "Days whose bills were compared, by how that ended"),
    gauge(
        "windlass_reconciled_until_timestamp_seconds",
        "The end of the newest day whose bills were compared, since 1970-01-01 UTC",
    ),
    counter("windlass_reconciled_rows_total", "Rows of trade bills that were compared"),
    counter("windlass_heals_total", "Findings that were asked for afresh, by what became of them"),
    counter("windlass_order_moves_total", "Orders that moved to a state"),
    counter("windlass_payments_disputed_total", "Payments whose amount is not the order's"),
    counter("windlass_refunds_need_person_total", "Refunds that only a person can go on with"),
    counter(
        "windlass_refunds_not_enough_total",
        "Refunds that wait because the merchant's balance is too low",
    ),
    counter("windlass_bills_total", "Answers to a question for a day's bill, by what became of it"),
    counter("windlass_bill_bad_rows_total", "Lines of bills that cannot be read"),
    counter(
        "windlass_shipments_compared_total",
        "Payments compared with WeChat's list of orders to be shipped, by what was found",
    ),
    counter("windlass_supplier_answers_overdue_total", "Answers of a supplier that did not come in time"),
    counter(
        "windlass_sync_codes_total",
        "Product codes that a synchronisation asked for, by kind and result: known, unknown, changed",
    ),
    counter(
        "windlass_sync_chunks_failed_total",
        "Calls of a synchronisation that were given up, by kind and fault",
    ),
    counter("windlass_sync_rows_unreadable_total", "Rows of the supplier's answers that could not be read"),
    counter("windlass_price_mismatches_total", "Invoice prices that list price and rebates do not make"),
    gauge(
        "windlass_supplier_balance_fen",
        "What is left on a payer account, in fen (1/100 yuan), by sale group and account",
    ),
    counter("windlass_notifications_total", "Messages to customers, by what became of them"),
    counter("windlass_webhook_tries_total", "Tries of webhooks: delivered, not_taken, failed, gone"),
    counter(
        "windlass_webhook_endpoints_disabled_total",
        "Webhook endpoints that were disabled by themselves",
    ),
    histogram("windlass_ledger_group_writes", "Writes that one commit of the ledger carried"),
    gauge("windlass_outbox_jobs", "Jobs in the ledger's outbox, by state"),
    gauge(
        "windlass_outbox_oldest_waiting_seconds",
        "How long the oldest job of the outbox has waited for the carrier, in the shop's time",
    ),
    counter("windlass_outbox_handed_over_total", "Jobs that the ledger gave to the carrier"),
    counter("windlass_outbox_lost_total", "Jobs that the carrier lost and the ledger gave again"),
    counter("windlass_outbox_refused_total", "Jobs that the carrier did not take"),
    // The outside.
    gauge(
        "windlass_token_expires_timestamp_seconds",
        "When the access token of a system runs out, in the shop's time, as this process last saw it",
    ),
    histogram("windlass_outside_request_seconds", "Calls to systems outside"),
    counter("windlass_outside_misconfigured_total", "Calls that failed for our own credentials or settings"),
    counter(
        "windlass_wechat_bad_signatures_total",
        "Answers and callbacks of WeChat Pay that were not trusted",
    ),
    counter(
        "windlass_wechat_probe_signatures_total",
        "Signatures by which WeChat Pay tests whether we verify",
    ),
    counter("windlass_wechat_unknown_states_total", "Trade states of WeChat Pay that are not known"),
    // The front door.
    counter("windlass_http_requests_total", "Requests answered, by route and status"),
    histogram("windlass_http_request_seconds", "From request to answer"),
    // What is told to others.
    counter(
        "windlass_trace_spans_total",
        "Spans, by what became of them: sent, no_room, not_taken by the collector",
    ),
    counter(
        "windlass_error_reports_total",
        "Errors for Sentry, by what became of them: sent, held_back, no_room, not_taken",
    ),
    // The process.
    gauge("windlass_build_info", "1, with the version of this build"),
    gauge("process_start_time_seconds", "When the process began, since 1970-01-01 UTC"),
    gauge("process_resident_memory_bytes", "Memory that the process holds"),
    counter("process_cpu_seconds_total", "Time on the processor, whole seconds"),
    gauge("process_open_fds", "Open files and sockets"),
];

impl Metric {
    fn unit(&self) -> Unit {
        let base = self.name.trim_end_matches("_total");
        if base.ends_with("_seconds") {
            Unit::Seconds
        } else if base.ends_with("_bytes") {
            Unit::Bytes
        } else {
            Unit::Count
        }
    }
}

/// Tells the recorder what each metric means.
pub(super) fn describe() {
    for metric in METRICS {
        let (name, unit, help) = (metric.name, metric.unit(), metric.help);
        match metric.kind {
            MetricKind::Counter => describe_counter!(name, unit, help),
            MetricKind::Gauge => describe_gauge!(name, unit, help),
            MetricKind::Histogram => describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Calls `see` with the text of every Rust file under `folder`.
    fn each_file(folder: &Path, see: &mut dyn FnMut(&str)) {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                each_file(&path, see);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                see(&std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn the_table_holds_every_metric_that_the_code_tells_under_its_kind_and_no_other() {
        let macros = [
            ("counter!(", MetricKind::Counter),
            ("gauge!(", MetricKind::Gauge),
            ("histogram!(", MetricKind::Histogram),
        ];
        let (mut seen, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for folder in ["src", "engine/src", "jobs/src"] {
            each_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut |code| {
                for (call, kind) in macros {
                    for rest in code.split(call).skip(1) {
                        let quoted = rest.trim_start().strip_prefix('"');
                        let Some(name) = quoted.and_then(|quoted| quoted.split('"').next()) else { continue };
                        if METRICS.iter().any(|metric| metric.name == name) {
                            seen.insert(name.to_owned());
                        }
                        if !name.starts_with("windlass_") {
                            continue;
                        }
                        if !METRICS.iter().any(|metric| metric.name == name && metric.kind == kind) {
                            unknown.insert(format!("{name} ({kind:?})"));
                        }
                    }
                }
            });
        }
        assert_eq!(unknown, BTreeSet::new(), "told, but not in METRICS");
        let silent: Vec<_> =
            METRICS.iter().map(|metric| metric.name).filter(|name| !seen.contains(*name)).collect();
        assert!(silent.is_empty(), "in METRICS, and nobody tells them: {silent:?}");
    }

    #[test]
    fn a_name_is_told_once_and_says_its_kind_and_unit() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let total = metric.name.ends_with("_total");
            assert_eq!(
                total,
                metric.kind == MetricKind::Counter,
                "{}: only counters end in _total",
                metric.name
            );
            assert!(!metric.name.contains("_ms") && !metric.name.contains("_millis"), "{}", metric.name);
        }
    }
}
