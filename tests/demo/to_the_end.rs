//! A demo that nobody disturbs.

use crate::process::Place;
use crate::summary::{figure, has_its_shape, went_well};

#[test]
fn every_order_ends_and_every_effect_happens_once() {
    let place = Place::new();
    let demo = ["demo", "--count", "40", "--speed", "7200", "--exit", "--json"];
    let summary = place.run(&demo).well().json();
    has_its_shape(&summary);
    went_well(&summary, 40);
    // Nothing went wrong outside, so nothing is in doubt.
    for effect in summary["effects"].as_array().unwrap() {
        assert_eq!(figure(effect, "/ours"), figure(effect, "/truth"), "{effect}");
        assert_eq!(figure(effect, "/in_doubt"), 0, "{effect}");
    }
    // The other system heard of each completed order that it was paid, shipped and completed.
    let heard = summary["effects"].as_array().unwrap().iter().find(|row| row["effect"] == "webhook.post");
    let completed = figure(&summary, "/orders/completed");
    assert!(figure(heard.unwrap(), "/truth") >= 3 * completed, "{summary:#}");
}

#[test]
fn a_storm_outside_costs_no_order_and_doubles_nothing() {
    let place = Place::new();
    let demo = ["demo", "--count", "40", "--speed", "7200", "--faults", "storm", "--exit", "--json"];
    let summary = place.run(&demo).well().json();
    has_its_shape(&summary);
    went_well(&summary, 40);
}

#[test]
fn a_demo_that_ended_makes_room_for_the_next() {
    let place = Place::new();
    let demo = |count| ["demo", "--count", count, "--speed", "7200", "--exit", "--json"];
    went_well(&place.run(&demo("5")).well().json(), 5);
    went_well(&place.run(&demo("7")).well().json(), 7);
}

#[test]
fn a_proxy_for_the_outside_is_not_asked_for_the_inside() {
    let place = Place::new();
    let mut demo = place.command(&["demo", "--count", "3", "--speed", "7200", "--exit", "--json"]);
    demo.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    went_well(&place.start(demo).end().well().json(), 3);
}
