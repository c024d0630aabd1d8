//! The names under which calls are measured: dashboards and alerts hold on to them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use windlass_testing::script::{Script, status};

use crate::wechat_pay::{REFUND, pay, probe, signed};

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeSet<String>>>);

struct One(Seen, String);

impl One {
    fn note(&self) {
        self.0.0.lock().unwrap().insert(self.1.clone());
    }
}

impl HistogramFn for One {
    fn record(&self, _: f64) {
        self.note();
    }
}

impl CounterFn for One {
    fn increment(&self, _: u64) {
        self.note();
    }
    fn absolute(&self, _: u64) {}
}

impl Seen {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(One(self.clone(), format!("{} {}", key.name(), labels.join(","))))
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

#[test]
fn each_call_is_measured_by_its_outcome_and_probes_are_counted_apart() {
    let seen = Seen::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&seen, || {
        runtime.block_on(async {
            for reply in [signed(200, REFUND), probe(), status(200, REFUND)] {
                let server = Script::new(move |_| reply.clone()).await;
                let _ = pay(&server.url()).query_refund("R1").await;
            }
        });
    });
    let seen: Vec<String> = seen.0.lock().unwrap().iter().cloned().collect();
    assert_eq!(
        seen,
        [
            "windlass_outside_request_seconds system=wechat_pay,call=query_refund,outcome=ok",
            "windlass_outside_request_seconds system=wechat_pay,call=query_refund,outcome=unavailable",
            "windlass_wechat_bad_signatures_total reason=missing_header",
            "windlass_wechat_probe_signatures_total ",
        ]
    );
}
