//! `demo --orders`: files that are not there, not orders, or not all orders.

use std::fs;

use crate::process::Place;

const ROWS: &str = "\
order_no,product_code,product_name,quantity,unit_price
SO-0001,KETTLE,Kettle,1,19.99
SO-0002,KETTLE,Kettle,none,19.99
SO-0003,LID,Lid,2,5.00
X,LID,Lid,2,5.00
SO-0004
";

#[test]
fn a_missing_file_is_named_and_stands_in_no_ones_way() {
    let place = Place::new();
    let missing = ["demo", "--orders", "missing.csv", "--exit"];
    place.run(&missing).says(1, &["cannot open the orders file missing.csv"]);
    let rows = place.file("orders.csv", ROWS);
    place.run(&["demo", "--orders", &rows, "--speed", "7200", "--exit"]).well();
}

#[test]
fn a_header_of_no_known_layout_is_told_with_the_columns_that_are_known() {
    let place = Place::new();
    let file = place.file("other.csv", "colour,taste\nred,sweet\n");
    place
        .run(&["demo", "--orders", &file, "--exit"])
        .says(1, &["other.csv", "colour,taste", "order_no,product_code"]);
}

#[test]
fn every_row_that_cannot_be_used_is_told_by_its_line_and_the_others_go_through() {
    let place = Place::new();
    let file = place.file("orders.csv", ROWS);
    let told = place.run(&["demo", "--orders", &file, "--speed", "7200", "--exit", "--json"]).well();
    told.says(0, &["line 3: quantity", "line 5: order_no", "line 6: "]);
    let summary = told.json();
    assert_eq!(summary["rows"]["read"], 5, "{summary}");
    assert_eq!(summary["rows"]["used"], 2, "{summary}");
    assert_eq!(summary["rows"]["rejected"], 3, "{summary}");
    assert_eq!(summary["orders"]["placed"], 2, "{summary}");
    let rejected = fs::read_to_string(place.data().join("demo/rejected.csv")).unwrap();
    assert_eq!(rejected.lines().count(), 1 + 3, "{rejected}");
}

#[test]
fn an_unfinished_demo_with_other_options_is_kept() {
    let place = Place::new();
    let mut first = place.start(place.command(&["demo", "--count", "30", "--exit"]));
    let is_there = place.data().join("demo/ledger.db");
    first.until("its ledger is there", |_| is_there.exists().then_some(()));
    first.kill();
    let other = place.run(&["demo", "--count", "31", "--exit"]);
    other.says(1, &["did not finish", "--count 30", "delete the folder"]);
    assert!(is_there.exists());
}
