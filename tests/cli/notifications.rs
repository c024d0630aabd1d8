//! The shop's own wording: told when it is wrong, shown before it is sent; and webhooks from the command line.

use crate::process::Place;

#[test]
fn a_template_that_is_wrong_is_told_by_file_and_line_before_anything_starts() {
    let place = Place::new();
    place.file(
        "words/order_paid.txt",
        "Subject: Paid\n\nDear {{ customer_name }},\nthank you for {{ ammount }}\n",
    );
    for args in [&["check"][..], &["up", "--listen", "127.0.0.1:0"], &["notifications", "templates"]] {
        let mut command = place.command(args);
        command.env("WINDLASS_TEMPLATES", "words");
        place.start(command).end().says(2, &["order_paid.txt:4", "ammount"]);
    }
}

#[test]
fn a_template_is_shown_as_it_would_be_sent() {
    let place = Place::new();
    place.file("words/order_paid.txt", "Subject: Paid {{ order_no }}\n\nThank you for {{ amount }}.\n");
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("WINDLASS_TEMPLATES", "words");
        place.start(command).end()
    };
    let shown = run(&["notifications", "preview", "order_paid"]).well();
    assert!(shown.out.starts_with("Subject: Paid SO-1001\n\nThank you for ¥2599.98."), "{shown:?}");
    let shown = run(&["notifications", "preview", "order_shipped", "--html"]).well();
    assert!(shown.out.contains("<li>"), "{shown:?}");
    let listed = run(&["notifications", "templates", "--json"]).well().json();
    assert_eq!(listed["templates"][0]["wording"], "the shop's");
    run(&["notifications", "preview", "order_eaten"]).says(2, &["order_eaten", "order_paid"]);
    assert!(run(&["check"]).well().out.contains("the shop's own: order_paid"));
}

#[test]
fn a_webhook_is_made_tried_and_moved_from_the_command_line() {
    let place = Place::new();
    let made =
        place.run(&["webhooks", "create", "https://crm.shop.example/x", "--types", "order.paid", "--json"]);
    let made = made.well().json();
    let id = made["id"].as_str().unwrap();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert!(place.run(&["webhooks", "list"]).well().out.contains("https://crm.shop.example/x"));
    let sent = place.run(&["webhooks", "test", id, "--json"]).well().json();
    let log = place.run(&["webhooks", "deliveries", id]).well().out;
    assert!(log.contains(sent["message"].as_str().unwrap()) && log.contains("queued"), "{log}");
    let moved = place.run(&["webhooks", "move", id, "https://erp.shop.example/x"]).well().out;
    assert!(moved.contains(id) && moved.contains("https://erp.shop.example/x"), "{moved}");
    assert!(place.run(&["webhooks", "list"]).well().out.contains("https://erp.shop.example/x"));
    place.run(&["webhooks", "move", id, "https://10.0.0.1/"]).says(1, &["/url", "webhook_private_addresses"]);
    place.run(&["webhooks", "create", "https://10.0.0.1/"]).says(1, &["/url", "webhook_private_addresses"]);
    place.run(&["webhooks", "delete", id]).well();
    place.run(&["webhooks", "show", id]).says(1, &[id]);
}
