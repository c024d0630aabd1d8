//! A reader of `.env`: lines of `KEY=VALUE`.
//!
//! A value may stand in single quotes (as it is) or double quotes (`\n`, `\"` and `\\` are meant as usual); a `#`
//! after a space begins a remark outside of quotes; `export` before a key is allowed. There are no values over
//! several lines and no `$OTHER` within values.

/// One line that sets something: its number (the first is 1), key and value.
pub(super) type Line = (usize, String, String);

/// The lines that set something, and for each that cannot be read its number and why.
pub(super) fn lines_of(text: &str) -> (Vec<Line>, Vec<(usize, String)>) {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match pair_of(line.strip_prefix("export ").unwrap_or(line)) {
            Ok((key, value)) => lines.push((number, key, value)),
            Err(why) => faults.push((number, why.to_owned())),
        }
    }
    (lines, faults)
}

fn pair_of(line: &str) -> Result<(String, String), &'static str> {
    let (key, value) = line.split_once('=').ok_or("no KEY=VALUE")?;
    let key = key.trim();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("a key has letters, digits and _ only");
    }
    Ok((key.to_owned(), value_of(value.trim())?))
}

fn value_of(text: &str) -> Result<String, &'static str> {
    let (value, rest) = match text.chars().next() {
        Some('\'') => {
            let (value, rest) = text[1..].split_once('\'').ok_or("the quote is not closed on its line")?;
            (value.to_owned(), rest)
        }
        Some('"') => double_quoted(&text[1..])?,
        _ => (text.split(" #").next().unwrap_or_default().trim_end().to_owned(), ""),
    };
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(value)
    } else {
        Err("something follows the closing quote")
    }
}

fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\' | '$')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            _ => value.push(c),
        }
    }
    Err("the quote is not closed on its line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_meant() {
        let text = "# a remark\n\nA=1\nexport B = two words # said\nC=\"x\\ny \\\"z\\\" # no\" # yes\nD='a\\n#b'\nE=\nF=a#b\n";
        let (lines, faults) = lines_of(text);
        let values: Vec<_> =
            lines.iter().map(|(line, key, value)| (*line, key.as_str(), value.as_str())).collect();
        assert_eq!(
            values,
            [
                (3, "A", "1"),
                (4, "B", "two words"),
                (5, "C", "x\ny \"z\" # no"),
                (6, "D", "a\\n#b"),
                (7, "E", ""),
                (8, "F", "a#b"),
            ]
        );
        assert_eq!(faults, []);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_line() {
        let (lines, faults) = lines_of("A=1\nnonsense\nB C=1\nD=\"open\nE='x' y\nF=2");
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(lines.len(), 2);
    }
}
