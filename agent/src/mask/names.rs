//! Values that stand after a name which says that they are secret: `password=…`, `"token": "…"`,
//! `--api-key …`, `Authorization: …`.

use super::Spans;

/// A name that ends with one of these names a secret.
const ENDINGS: [&str; 24] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "accesskey",
    "account_key",
    "accountkey",
    "secret_key",
    "secretkey",
    "private_key",
    "privatekey",
    "signing_key",
    "encryption_key",
    "credential",
    "credentials",
    "signature",
    "cookie",
    "connection_string",
    "_pass",
];
/// So does one of these alone.
const WHOLE: [&str; 4] = ["authorization", "proxy_authorization", "pass", "sig"];
/// In the name of a variable these are enough, wherever they stand.
const PARTS_OF_VARIABLES: [&str; 4] = ["secret", "password", "passwd", "credential"];
/// Between `Authorization:` and the secret; the name of the scheme is none.
const SCHEMES: [&str; 5] = ["bearer", "basic", "token", "digest", "apikey"];

/// Whether a variable of this name holds a secret.
pub(super) fn is_secret_variable(name: &str) -> bool {
    let name = plain(name);
    names_secret(&name)
        || name.ends_with("_key")
        || PARTS_OF_VARIABLES.iter().any(|part| name.contains(part))
}

/// A value without quotes goes to the next of these.
pub(super) fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '&' | ';')
}

pub(super) fn spans(line: &str) -> Spans {
    let mut spans = Spans::new();
    for (at, word) in words(line) {
        let name = plain(word);
        let after = &line[at + word.len()..];
        let value = if names_secret(&name) {
            assigned(after).or_else(|| of_flag(word, after))
        } else if name == "bearer" {
            // Also where nobody says `Authorization`.
            after.starts_with(' ').then(|| after.trim_start())
        } else {
            None
        };
        if let Some(value) = value {
            let (begin, end) = extent(value, WHOLE[..2].contains(&name.as_str()));
            let from = line.len() - value.len();
            spans.push(from + begin..from + end);
        }
    }
    spans
}

/// Lowercase, with `_` between its parts, without the dashes of a flag.
fn plain(name: &str) -> String {
    let name = name.trim_matches(['-', '.']).to_ascii_lowercase();
    name.replace(['-', '.'], "_")
}

fn names_secret(name: &str) -> bool {
    WHOLE.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut from = 0;
    std::iter::from_fn(move || {
        let begin = from + line[from..].find(is_part)?;
        let length = line[begin..]
            .find(|c| !is_part(c))
            .unwrap_or(line.len() - begin);
        from = begin + length;
        Some((begin, &line[begin..from]))
    })
}

/// What stands after `=`, `:`, `": `, `'] = `, ` => ` and the like.
fn assigned(after: &str) -> Option<&str> {
    let rest = after.trim_start_matches(['"', '\'', '\\', ']', ')', ' ', '\t']);
    let rest = rest.strip_prefix(['=', ':'])?;
    Some(rest.trim_start_matches(['=', '>', ' ', '\t']))
}

/// What stands after `--name `, unless it is another flag.
fn of_flag<'l>(word: &str, after: &'l str) -> Option<&'l str> {
    let value = after.trim_start_matches([' ', '\t']);
    let is_value = word.starts_with('-') && value.len() < after.len() && !value.starts_with("--");
    is_value.then_some(value)
}

/// Where in the text the secret begins and ends.
fn extent(value: &str, is_header: bool) -> (usize, usize) {
    let unescaped = value.trim_start_matches('\\');
    let opening = unescaped.chars().next().filter(|c| "\"'`".contains(*c));
    let begin = value.len() - unescaped.len() + opening.map_or(0, char::len_utf8);
    let inside = &value[begin..];
    let scheme = SCHEMES.iter().find_map(|scheme| {
        let given = inside.get(..scheme.len())?;
        let rest = inside.get(scheme.len()..)?;
        let secret = rest.trim_start_matches(' ');
        (given.eq_ignore_ascii_case(scheme) && secret.len() < rest.len() && !secret.is_empty())
            .then(|| inside.len() - secret.len())
    });
    let begin = begin + scheme.unwrap_or(0);
    let inside = &value[begin..];
    let end = match opening {
        Some(quote) => closing(inside, quote),
        // Of a scheme that is not known every word may be the secret.
        None if is_header && scheme.is_none() => inside.find(['"', '\'', '`']),
        None => inside.find(ends_value),
    };
    (begin, begin + end.unwrap_or(inside.len()))
}

/// The quote that closes, not one that is escaped; where the opening one is escaped itself, an
/// escaped one closes too, and the backslash before it is hidden with the rest.
fn closing(inside: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !is_escaped {
            return Some(at);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}
