//! Reads the literals of a Python file: enough of the language for a dictionary of beat entries.
//!
//! It runs nothing and resolves no name: what only a running program knows stays a [`Py::Name`] or a [`Py::Call`].

mod words;

pub use words::{Token, Word, tokens};

/// Brackets within brackets.
const DEPTH_MAX: usize = 50;

#[derive(Clone, Debug, PartialEq)]
pub enum Py {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A list, a tuple or a set.
    List(Vec<Py>),
    Dict(Vec<(Py, Py)>),
    Call {
        name: String,
        args: Vec<Py>,
        named: Vec<(String, Py)>,
    },
    /// What only a running program knows.
    Name(String),
}

/// Reads the expression that begins at `at`, and leaves `at` behind it.
///
/// # Errors
/// The line and what could not be read there.
pub fn expression(tokens: &[Token], at: &mut usize) -> Result<Py, String> {
    Reader { tokens, at, depth: 0 }.sum()
}

/// By place, and by name.
type Arguments = (Vec<Py>, Vec<(String, Py)>);

struct Reader<'a> {
    tokens: &'a [Token],
    at: &'a mut usize,
    depth: usize,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<Py, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong("brackets nested too deep");
        }
        let mut value = self.product()?;
        while let Some(sign) = self.sign_of("+-") {
            let other = self.product()?;
            value = match (value, other) {
                (Py::Text(a), Py::Text(b)) if sign == '+' => Py::Text(a + &b),
                (a, b) => calculated(sign, a, b),
            };
        }
        self.depth -= 1;
        Ok(value)
    }

    fn product(&mut self) -> Result<Py, String> {
        let mut value = self.one()?;
        while let Some(sign) = self.sign_of("*/") {
            value = calculated(sign, value, self.one()?);
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<Py, String> {
        let Some(token) = self.tokens.get(*self.at) else { return self.wrong("the file ends too soon") };
        *self.at += 1;
        match &token.word {
            Word::Int(number) => Ok(Py::Int(*number)),
            Word::Float(number) => Ok(Py::Float(*number)),
            Word::Text(text) => {
                let mut text = text.clone();
                while let Some(Token { word: Word::Text(more), .. }) = self.tokens.get(*self.at) {
                    text.push_str(more);
                    *self.at += 1;
                }
                Ok(Py::Text(text))
            }
            Word::Name(name) => self.named(name),
            Word::Sign('-') => Ok(match self.one()? {
                Py::Int(number) => Py::Int(-number),
                Py::Float(number) => Py::Float(-number),
                _ => Py::Name("a sum".to_owned()),
            }),
            Word::Sign('(') => {
                let (mut items, commas) = self.items(')')?;
                Ok(if commas == 0 && items.len() == 1 { items.remove(0) } else { Py::List(items) })
            }
            Word::Sign('[') => Ok(Py::List(self.items(']')?.0)),
            Word::Sign('{') => self.braces(),
            Word::Sign(sign) => {
                *self.at -= 1;
                self.wrong(&format!("{sign:?} is no value"))
            }
        }
    }

    fn named(&mut self, name: &str) -> Result<Py, String> {
        match name {
            "None" => return Ok(Py::None),
            "True" => return Ok(Py::Bool(true)),
            "False" => return Ok(Py::Bool(false)),
            _ => {}
        }
        let mut value = Py::Name(name.to_owned());
        // What follows a call, as in `task.s().set(…)`, belongs to it and says nothing of the entry.
        loop {
            match self.sign() {
                Some('(') => {
                    *self.at += 1;
                    let (args, named) = self.arguments()?;
                    value = Py::Call { name: name.to_owned(), args, named };
                }
                Some('[') => {
                    *self.at += 1;
                    self.items(']')?;
                    value = Py::Name(name.to_owned());
                }
                Some('.') if matches!(value, Py::Call { .. }) => {
                    *self.at += 2;
                    value = Py::Name(name.to_owned());
                }
                _ => return Ok(value),
            }
        }
    }

    fn arguments(&mut self) -> Result<Arguments, String> {
        let (mut args, mut named) = (Vec::new(), Vec::new());
        loop {
            match self.sign() {
                Some(')') => {
                    *self.at += 1;
                    return Ok((args, named));
                }
                Some(',') => *self.at += 1,
                // `*more` and `**more`: not known here.
                Some('*') => *self.at += 1,
                _ => {}
            }
            if self.sign() == Some(')') || self.sign() == Some('*') {
                continue;
            }
            let is_named = matches!(self.word(1), Some(Word::Sign('=')))
                && !matches!(self.word(2), Some(Word::Sign('=')));
            match self.word(0) {
                Some(Word::Name(name)) if is_named => {
                    let name = name.clone();
                    *self.at += 2;
                    named.push((name, self.sum()?));
                }
                _ => args.push(self.sum()?),
            }
        }
    }

    /// Values up to the closing bracket, and how many commas stood among them.
    fn items(&mut self, close: char) -> Result<(Vec<Py>, usize), String> {
        let (mut items, mut commas) = (Vec::new(), 0);
        loop {
            match self.sign() {
                Some(sign) if sign == close => {
                    *self.at += 1;
                    return Ok((items, commas));
                }
                Some(',') => {
                    commas += 1;
                    *self.at += 1;
                }
                _ => items.push(self.sum()?),
            }
        }
    }

    /// A dictionary or a set.
    fn braces(&mut self) -> Result<Py, String> {
        let (mut pairs, mut items) = (Vec::new(), Vec::new());
        loop {
            match self.sign() {
                Some('}') => {
                    *self.at += 1;
                    return Ok(if items.is_empty() { Py::Dict(pairs) } else { Py::List(items) });
                }
                Some(',') => *self.at += 1,
                Some('*') => {
                    while self.sign_of("*").is_some() {}
                    let more = self.sum()?;
                    pairs.push((Py::Name("**".to_owned()), more));
                }
                _ => {
                    let key = self.sum()?;
                    if self.sign_of(":").is_some() {
                        pairs.push((key, self.sum()?));
                    } else {
                        items.push(key);
                    }
                }
            }
        }
    }

    fn word(&self, ahead: usize) -> Option<&Word> {
        self.tokens.get(*self.at + ahead).map(|token| &token.word)
    }

    fn sign(&self) -> Option<char> {
        match self.word(0) {
            Some(Word::Sign(sign)) => Some(*sign),
            _ => None,
        }
    }

    /// Takes the sign when it is one of these.
    fn sign_of(&mut self, signs: &str) -> Option<char> {
        let sign = self.sign().filter(|sign| signs.contains(*sign))?;
        *self.at += 1;
        Some(sign)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        let line = self.tokens.get(*self.at).or(self.tokens.last()).map_or(1, |token| token.line);
        Err(format!("line {line}: {what}"))
    }
}

fn calculated(sign: char, a: Py, b: Py) -> Py {
    let whole = |value: &Py| match value {
        Py::Int(number) => Some(*number),
        _ => None,
    };
    let float = |value: &Py| match value {
        Py::Int(number) => Some(*number as f64),
        Py::Float(number) => Some(*number),
        _ => None,
    };
    let exact = match (whole(&a), whole(&b), sign) {
        (Some(a), Some(b), '*') => a.checked_mul(b),
        (Some(a), Some(b), '+') => a.checked_add(b),
        (Some(a), Some(b), '-') => a.checked_sub(b),
        _ => None,
    };
    match (exact, float(&a), float(&b)) {
        (Some(exact), ..) => Py::Int(exact),
        (None, Some(a), Some(b)) => Py::Float(match sign {
            '*' => a * b,
            '/' => a / b,
            '+' => a + b,
            _ => a - b,
        }),
        _ => Py::Name("a sum".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Result<Py, String> {
        expression(&tokens(source), &mut 0)
    }

    #[test]
    fn literals_of_every_sort_are_read() {
        let text = |text: &str| Py::Text(text.to_owned());
        for (source, value) in [
            ("60 * 5", Py::Int(300)),
            ("1_000", Py::Int(1_000)),
            ("30.0", Py::Float(30.0)),
            ("-1", Py::Int(-1)),
            ("'a' \"b\"  # and\n", text("ab")),
            ("r'\\d'", text("\\d")),
            ("'''two\nlines'''", text("two\nlines")),
            ("(1)", Py::Int(1)),
            ("(1,)", Py::List(vec![Py::Int(1)])),
            ("{1, 2}", Py::List(vec![Py::Int(1), Py::Int(2)])),
            ("{'a': [True, None],}", Py::Dict(vec![(text("a"), Py::List(vec![Py::Bool(true), Py::None]))])),
            (
                "crontab('0', hour=5)",
                Py::Call {
                    name: "crontab".to_owned(),
                    args: vec![text("0")],
                    named: vec![("hour".to_owned(), Py::Int(5))],
                },
            ),
            ("settings.EVERY", Py::Name("settings.EVERY".to_owned())),
            ("os.environ['X']", Py::Name("os.environ".to_owned())),
        ] {
            assert_eq!(read(source), Ok(value), "{source}");
        }
        assert_eq!(read("{\n'a':\n }"), Err("line 3: '}' is no value".to_owned()));
        assert!(read("[1,").unwrap_err().contains("ends too soon"));
        assert!(read(&"[".repeat(100)).unwrap_err().contains("too deep"));
    }
}
