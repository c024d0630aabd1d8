//! What a trace is told of jobs: a process has one tracer, so these tests have a target of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, here too")]

#[path = "worker/bench.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod bench;
#[path = "worker/toys.rs"]
#[expect(dead_code, reason = "not every target needs all of it")]
mod toys;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use windlass_engine::trace::{
    self, Sampler, Sink, Span, SpanKind, SpanRecord, TraceContext, Tracer, Value, enqueueing,
};
use windlass_engine::{Clock, NewJob, State};

use crate::bench::{Bench, soon};
use crate::toys::{Count, Fail, Spawn};

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Default)]
struct Kept(Mutex<Vec<SpanRecord>>);

impl Sink for Kept {
    fn take(&self, span: SpanRecord) {
        self.0.lock().unwrap().push(span);
    }
}

/// Everything that this process traced.
fn kept() -> &'static Arc<Kept> {
    static KEPT: OnceLock<Arc<Kept>> = OnceLock::new();
    KEPT.get_or_init(|| {
        let kept = Arc::<Kept>::default();
        let tracer = Tracer { sampler: Sampler::DEFAULT, clock: Clock::system(), sink: kept.clone() };
        trace::install(tracer).unwrap();
        kept
    })
}

fn of(context: TraceContext) -> Vec<SpanRecord> {
    let all = kept().0.lock().unwrap();
    all.iter().filter(|span| span.context.trace_id == context.trace_id).cloned().collect()
}

/// A trace that begins here, and the job handed in within it.
fn traced(mut job: NewJob) -> (TraceContext, NewJob) {
    kept();
    let request = Span::begin(SpanKind::Server, None, || "request");
    let _in_trace = request.enter();
    drop(enqueueing([&mut job]));
    (request.context().unwrap(), job)
}

fn text<'a>(span: &'a SpanRecord, name: &str) -> &'a str {
    match span.attribute(name) {
        Some(Value::Text(text)) => text,
        other => panic!("{name} of {span:?} is {other:?}"),
    }
}

fn named<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_and_its_wait_stand_under_whoever_handed_the_job_in() {
    let bench = Bench::new();
    let (context, job) = traced(NewJob::of(&Count { by: 1 }, &bench.clock));
    let id = bench.enqueue(job).await;
    bench.clock.advance(Duration::from_secs(5));
    let workers = bench.work();
    bench.until(&id, State::Completed).await;
    workers.drained().await;
    let spans = of(context);
    let (enqueue, wait, run) =
        (named(&spans, "enqueue count"), named(&spans, "wait count"), named(&spans, "run count"));
    assert_eq!(enqueue.parent, Some(context.span_id));
    assert_eq!((wait.parent, run.parent), (Some(enqueue.context.span_id), Some(enqueue.context.span_id)));
    assert_eq!((enqueue.kind, run.kind), (SpanKind::Producer, SpanKind::Consumer));
    assert_eq!((wait.ended, wait.ended.since(wait.began)), (run.began, Duration::from_secs(5)));
    assert_eq!(run.attribute("windlass.job.wait_ms"), Some(&Value::Int(5_000)));
    assert_eq!((text(run, "windlass.job.outcome"), run.failed), ("completed", false));
    assert_eq!(text(run, "messaging.message.id"), id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_with_the_class_of_its_error_and_without_its_words() {
    let bench = Bench::new();
    let workers = bench.work();
    for (how, state, outcome, class) in [
        (Fail::ForGood, State::Dead, "dead", Some("error")),
        (Fail::Panicking, State::Retrying, "retried", Some("panic")),
        (Fail::RetryAfterHour, State::Retrying, "retried", Some("error")),
        (Fail::Snoozing, State::Scheduled, "snoozed", None),
        (Fail::Unwanted, State::Cancelled, "cancelled", None),
    ] {
        let (context, job) = traced(NewJob::of(&how, &bench.clock));
        let id = bench.enqueue(job).await;
        bench.until(&id, state).await;
        let spans = of(context);
        let run = named(&spans, "run fail");
        assert_eq!(text(run, "windlass.job.outcome"), outcome);
        assert_eq!((run.failed, run.attribute("error.type").is_some()), (class.is_some(), class.is_some()));
        if let Some(class) = class {
            assert_eq!(text(run, "error.type"), class);
        }
        for words in ["never again", "roof", "too busy", "not yet"] {
            assert!(!format!("{spans:?}").contains(words), "{spans:?}");
        }
    }
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_has_a_span_and_follow_ups_carry_the_trace_on() {
    let bench = Bench::new();
    let workers = bench.work();
    let (context, job) = traced(NewJob::of(&Fail::Plainly, &bench.clock));
    let id = bench.enqueue(job).await;
    bench.until(&id, State::Retrying).await;
    bench.clock.advance(HOUR);
    soon(async || (bench.get(&id).await.attempt > 1).then_some(())).await.unwrap();
    soon(async || (of(context).iter().filter(|span| span.name == "run fail").count() == 2).then_some(()))
        .await
        .unwrap();
    let attempts: Vec<_> =
        of(context).iter().filter_map(|span| span.attribute("windlass.job.attempt").cloned()).collect();
    assert!(attempts.contains(&Value::Int(1)) && attempts.contains(&Value::Int(2)), "{attempts:?}");

    let (context, job) = traced(NewJob::of(&Spawn { children: 2 }, &bench.clock));
    bench.enqueue(job).await;
    soon(async || (of(context).iter().filter(|span| span.name == "run count").count() == 2).then_some(()))
        .await
        .unwrap();
    let spans = of(context);
    let parent = named(&spans, "run spawn").context.span_id;
    let handed: Vec<_> = spans.iter().filter(|span| span.name == "enqueue count").collect();
    assert_eq!(handed.len(), 2);
    for enqueue in handed {
        assert_eq!(enqueue.parent, Some(parent));
        assert!(
            spans.iter().any(|span| span.name == "run count" && span.parent == Some(enqueue.context.span_id))
        );
    }
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_its_sender_dropped_is_passed_on_and_not_kept() {
    kept();
    let bench = Bench::new();
    let workers = bench.work();
    let dropped = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap();
    let mut job = NewJob::of(&Spawn { children: 1 }, &bench.clock);
    job.envelope.traceparent = Some(dropped.to_traceparent());
    bench.enqueue(job).await;
    let child = soon(async || {
        let ended = bench.ended.lock().unwrap().clone();
        for one in ended {
            let job = bench.get(&one.id).await;
            if job.envelope.kind == "count" {
                return Some(job);
            }
        }
        None
    });
    let carried = TraceContext::parse(&child.await.unwrap().envelope.traceparent.unwrap()).unwrap();
    assert_eq!((carried.trace_id, carried.sampled), (dropped.trace_id, false));
    assert!(of(dropped).is_empty());
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_within_a_span_finds_it_wherever_it_goes_on_and_others_do_not() {
    kept();
    let (one, two) =
        (Span::begin(SpanKind::Internal, None, || "one"), Span::begin(SpanKind::Internal, None, || "two"));
    let look = async |span: &Span| {
        for _ in 0..100 {
            assert_eq!(trace::current(), span.context());
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(one.within(look(&one)), two.within(look(&two)), async {
        for _ in 0..100 {
            assert_eq!(trace::current(), None);
            tokio::task::yield_now().await;
        }
    });
    let inner = one
        .within(async {
            trace::note(|record| {
                record.set("seen", true);
            });
            Span::child(SpanKind::Client, || "inner").context()
        })
        .await
        .unwrap();
    let context = one.context().unwrap();
    drop(one);
    let spans = of(context);
    assert_eq!(named(&spans, "one").attribute("seen"), Some(&Value::Bool(true)));
    assert_eq!(named(&spans, "inner").parent, Some(context.span_id));
    assert_eq!(named(&spans, "inner").context, inner);
}
