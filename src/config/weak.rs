//! Which values are no secrets, although they stand where a secret belongs.

/// What stands for a secret in examples.
const PLACEHOLDERS: [&str; 16] = [
    "changeme",
    "change_me",
    "change-me",
    "secret",
    "password",
    "admin",
    "test",
    "example",
    "default",
    "dummy",
    "placeholder",
    "todo",
    "none",
    "null",
    "123456",
    "12345678",
];
const PLACEHOLDER_STARTS: [&str; 9] =
    ["your_", "your-", "fake", "xxx", "<", "insecure", "django-insecure", "changeme", "change-me"];

/// Whether a value is one that people leave in examples, or one character again and again.
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let same = value.chars().skip(1).all(|c| value.starts_with(c));
    same || PLACEHOLDERS.contains(&value.as_str())
        || PLACEHOLDER_STARTS.iter().any(|start| value.starts_with(start))
}
