//! A demo of whole days: what is planted in the bills is found, and nothing else is.

use crate::process::Place;
use crate::summary::{figure, has_its_shape, went_well};

#[test]
fn over_three_days_every_planted_difference_is_found_and_none_is_made_up() {
    let place = Place::new();
    let demo = ["demo", "--count", "120", "--days", "3", "--speed", "7200", "--exit", "--json"];
    let summary = place.run(&demo).well().json();
    has_its_shape(&summary);
    went_well(&summary, 120);
    let of = |what: &str| figure(&summary, &format!("/findings/{what}"));
    assert!(of("planted") >= 15, "{summary:#}");
    assert_eq!((of("found"), of("invented")), (of("planted"), 0), "{summary:#}");
}
