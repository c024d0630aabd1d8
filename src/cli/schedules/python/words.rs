//! The words of a Python source, each with its line: names, texts, numbers and signs. Comments are passed over.

/// A word of the source and the line on which it stands, the first being 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub line: usize,
    pub word: Word,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// Dotted names are one.
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Sign(char),
}

/// The words of a source, without comments. What is no Python makes odd words and no error.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut at, mut line, mut tokens) = (0, 1, Vec::new());
    while let Some(c) = chars.get(at).copied() {
        let began = line;
        let word = match c {
            '\n' => {
                line += 1;
                at += 1;
                continue;
            }
            '#' => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
                continue;
            }
            _ if c.is_whitespace() || c == '\\' => {
                at += 1;
                continue;
            }
            '"' | '\'' => text(&chars, &mut at, &mut line, false),
            _ if c.is_ascii_digit() => number(&chars, &mut at),
            _ if c.is_alphabetic() || c == '_' => name(&chars, &mut at, &mut line),
            _ => {
                at += 1;
                Word::Sign(c)
            }
        };
        tokens.push(Token { line: began, word });
    }
    tokens
}

fn name(chars: &[char], at: &mut usize, line: &mut usize) -> Word {
    let start = *at;
    while chars.get(*at).is_some_and(|c| c.is_alphanumeric() || *c == '_' || *c == '.') {
        *at += 1;
    }
    let name: String = chars[start..*at].iter().collect();
    let quoted = matches!(chars.get(*at), Some('"' | '\''));
    match name.to_ascii_lowercase().as_str() {
        "r" | "b" | "u" | "rb" | "br" if quoted => {
            text(chars, at, line, name.to_ascii_lowercase().contains('r'))
        }
        // Its value is only known when it runs.
        "f" | "rf" | "fr" if quoted => {
            text(chars, at, line, false);
            Word::Name("an f-string".to_owned())
        }
        _ => Word::Name(name),
    }
}

fn text(chars: &[char], at: &mut usize, line: &mut usize, raw: bool) -> Word {
    let quote = chars[*at];
    let triple = chars.get(*at + 1) == Some(&quote) && chars.get(*at + 2) == Some(&quote);
    let end = if triple { 3 } else { 1 };
    *at += end;
    let mut text = String::new();
    while let Some(c) = chars.get(*at).copied() {
        if c == quote && (0..end).all(|n| chars.get(*at + n) == Some(&quote)) {
            *at += end;
            return Word::Text(text);
        }
        if c == '\n' {
            if !triple {
                break;
            }
            *line += 1;
        }
        *at += 1;
        if c == '\\' && !raw {
            let escaped = chars.get(*at).copied().unwrap_or('\\');
            *at += 1;
            match escaped {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                '\n' => *line += 1,
                other => text.push(other),
            }
        } else {
            text.push(c);
        }
    }
    Word::Text(text)
}

fn number(chars: &[char], at: &mut usize) -> Word {
    let start = *at;
    while let Some(c) = chars.get(*at) {
        let exponent = matches!(chars.get(*at - usize::from(*at > start)), Some('e' | 'E'));
        if c.is_ascii_alphanumeric() || *c == '.' || *c == '_' || (exponent && matches!(c, '+' | '-')) {
            *at += 1;
        } else {
            break;
        }
    }
    let written: String = chars[start..*at].iter().filter(|c| **c != '_').collect();
    match (written.parse(), written.parse()) {
        (Ok(number), _) => Word::Int(number),
        (_, Ok(number)) => Word::Float(number),
        _ => Word::Name(written),
    }
}
