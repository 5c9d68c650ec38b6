//! Secrets that are told by what they look like, wherever they stand.

use super::Spans;

/// How tokens of well-known services begin, and how many characters follow at least.
const TOKENS: [(&str, usize); 34] = [
    // GitHub, GitLab
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    // Slack
    ("xoxb-", 8),
    ("xoxp-", 8),
    ("xoxa-", 8),
    ("xoxr-", 8),
    ("xoxs-", 8),
    ("xoxe-", 8),
    ("xoxe.", 8),
    ("xapp-", 8),
    // models and their hosts
    ("hf_", 16),
    ("sk-", 16),
    ("nvapi-", 16),
    ("r8_", 16),
    // Google
    ("AIza", 30),
    ("ya29.", 16),
    // Stripe, SendGrid
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("SG.", 16),
    // registries
    ("npm_", 16),
    ("pypi-", 16),
    ("dckr_pat_", 16),
    ("dop_v1_", 16),
    // a JSON web token, or a signed part of one
    ("eyJ", 16),
    // AWS session tokens
    ("IQoJb3JpZ2lu", 16),
    ("FwoGZXIvYXdz", 16),
    ("FQoGZXIvYXdz", 16),
    ("AgoGb3JpZ2lu", 16),
];
/// AWS access key ids: of a user, of a session, of a service.
const ACCESS_KEYS: [&str; 4] = ["AKIA", "ASIA", "ABIA", "ACCA"];
/// With their first four.
const ACCESS_KEY_LENGTH: usize = 20;
/// An AWS secret access key in base 64.
const SECRET_KEY_LENGTH: usize = 40;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const PRIVATE_KEY: &str = "PRIVATE KEY";

pub(super) fn spans(line: &str) -> Spans {
    let mut spans = private_keys(line);
    let bytes = line.as_bytes();
    for at in 0..bytes.len() {
        if at > 0 && bytes[at - 1].is_ascii_alphanumeric() || !bytes[at].is_ascii() {
            continue;
        }
        let run = |is_part: fn(u8) -> bool| {
            let rest = &bytes[at..];
            rest.iter().position(|&b| !is_part(b)).unwrap_or(rest.len())
        };
        let rest = &line[at..];
        let is_token = |(prefix, least): &(&str, usize)| {
            rest.starts_with(prefix) && run(is_token_part) >= prefix.len() + least
        };
        if TOKENS.iter().any(is_token) {
            spans.push(at..at + run(is_token_part));
        } else if ACCESS_KEYS.iter().any(|prefix| rest.starts_with(prefix))
            && run(is_upper_part) == ACCESS_KEY_LENGTH
        {
            spans.push(at..at + ACCESS_KEY_LENGTH);
        } else if (at == 0 || !is_base64(bytes[at - 1]))
            && run(is_base64) == SECRET_KEY_LENGTH
            && is_mixed(&bytes[at..at + SECRET_KEY_LENGTH])
        {
            spans.push(at..at + SECRET_KEY_LENGTH);
        }
    }
    spans
}

/// `-`, `_` and `.` stand in tokens, `/`, `+` and `=` in those of AWS.
fn is_token_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'~' | b'%')
}

fn is_upper_part(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+')
}

/// A checksum in hexadecimal is not.
fn is_mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_uppercase)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_digit)
}

/// From what begins a private key to what ends it, or to the end of the line.
fn private_keys(line: &str) -> Spans {
    let mut spans = Spans::new();
    let mut from = 0;
    while let Some(begin) = line[from..].find(BEGIN).map(|at| from + at) {
        let inside = begin + BEGIN.len();
        let end = line[inside..].find(END).map(|at| inside + at);
        let stop = end.map_or(line.len(), |end| {
            let label = end + END.len();
            line[label..]
                .find("-----")
                .map_or(line.len(), |at| label + at + "-----".len())
        });
        if line[inside..stop].contains(PRIVATE_KEY) {
            spans.push(begin..stop);
        }
        from = stop;
    }
    spans
}

/// Whether a private key begins on this line and does not end on it.
pub(crate) fn begins_private_key(line: &[u8]) -> bool {
    let (Some(begin), end) = (last(line, BEGIN), last(line, END)) else {
        return false;
    };
    end.is_none_or(|end| end < begin) && last(&line[begin..], PRIVATE_KEY).is_some()
}

/// Whether a private key ends on this line.
pub(crate) fn ends_private_key(line: &[u8]) -> bool {
    last(line, END).is_some()
}

fn last(line: &[u8], text: &str) -> Option<usize> {
    line.windows(text.len()).rposition(|w| w == text.as_bytes())
}
