//! Takes secrets out of a log line before it is kept anywhere.
//!
//! Attempt records and notices are read by more people than the log stream is. It errs on the side
//! of masking; a masked harmless word costs nothing.

const MASK: &str = "****";
/// A name that ends with one of these names a secret.
const SECRET_NAMES: [&str; 9] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "credential",
];
const SECRET_KEY_NAMES: [&str; 4] = [
    "secret_key",
    "secretaccesskey",
    "secret_access_key",
    "private_key",
];
/// `AKIA` or `ASIA` and sixteen more.
const ACCESS_KEY_LENGTH: usize = 20;
/// An AWS secret access key in base 64.
const SECRET_KEY_LENGTH: usize = 40;
/// Between `Authorization:` and the secret.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The line without what looks like a secret.
pub(crate) fn masked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // What came before the word at hand: `name=`, `name: "`, `Bearer `.
    let mut hides_next = false;
    while !rest.is_empty() {
        if hides_next && !begins_with_scheme(rest) {
            let end = rest.find(ends_secret).unwrap_or(rest.len());
            if end > 0 {
                out.push_str(MASK);
                hides_next = false;
                rest = &rest[end..];
                continue;
            }
        }
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let gap_end = after.find(is_word).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        if !word.is_empty() {
            let is_user_info = gap.starts_with('@') && out.ends_with(':') && has_url(&out);
            out.push_str(if is_user_info || looks_secret(word) {
                MASK
            } else {
                word
            });
            hides_next = word.eq_ignore_ascii_case("bearer") && gap.starts_with(' ')
                || hides_next && begins_with_scheme(rest)
                || names_secret(word) && assigns(gap);
        }
        out.push_str(gap);
        rest = next;
    }
    out
}

fn begins_with_scheme(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    })
}

/// A value in a log line goes to the next of these.
fn ends_secret(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '&' | ';' | ')' | ']' | '}')
}

/// Names, numbers and keys have no other characters; `/` and `+` belong to base 64, `-` and `.` to tokens.
fn is_word(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(
            c,
            '_' | '-' | '.' | '/' | '+' | '%' | '~' | '!' | '$' | '*' | '#'
        )
}

fn names_secret(word: &str) -> bool {
    let name = word.to_ascii_lowercase().replace('-', "_");
    name == "authorization"
        || SECRET_NAMES
            .iter()
            .chain(&SECRET_KEY_NAMES)
            .any(|secret| name.ends_with(secret))
}

/// `=`, `:`, `": "` and the like.
fn assigns(gap: &str) -> bool {
    let gap = gap.trim_start_matches(['"', '\'', ' ', '\\']);
    gap.starts_with(['=', ':'])
}

fn has_url(before: &str) -> bool {
    before
        .rsplit([' ', '"', '\''])
        .next()
        .is_some_and(|word| word.contains("://"))
}

fn looks_secret(word: &str) -> bool {
    let is_access_key = word.len() == ACCESS_KEY_LENGTH
        && (word.starts_with("AKIA") || word.starts_with("ASIA"))
        && word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_secret_key = word.len() == SECRET_KEY_LENGTH
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+'))
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_digit());
    is_access_key || is_secret_key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let secret_key = format!("abcdEFGH1234{}", "ij/+KL56".repeat(4));
        let secret_key = &secret_key[..SECRET_KEY_LENGTH];
        let cases = [
            (
                "password=hunter2 user=eve".to_owned(),
                "password=**** user=eve".to_owned(),
            ),
            (
                "DB_PASSWORD: 'hun!ter2',x".to_owned(),
                "DB_PASSWORD: '****',x".to_owned(),
            ),
            (
                r#"{"hf_token": "hf_abc.def", "n": 3}"#.to_owned(),
                r#"{"hf_token": "****", "n": 3}"#.to_owned(),
            ),
            (
                "password=hun@ter:2 x".to_owned(),
                "password=**** x".to_owned(),
            ),
            ("token=abc-def".to_owned(), "token=****".to_owned()),
            (
                "Authorization: Bearer eyJ0.eyJ1.sig".to_owned(),
                "Authorization: Bearer ****".to_owned(),
            ),
            (
                format!("key AKIA{} used", "Q".repeat(16)),
                "key **** used".to_owned(),
            ),
            (
                format!("aws_secret_access_key = {secret_key}"),
                "aws_secret_access_key = ****".to_owned(),
            ),
            (
                format!("found {secret_key} here"),
                "found **** here".to_owned(),
            ),
            (
                "clone https://eve:pa55@host/x".to_owned(),
                "clone https://eve:****@host/x".to_owned(),
            ),
            (
                "epoch 3 loss=0.25 tokens=1500 step 40/192".to_owned(),
                "epoch 3 loss=0.25 tokens=1500 step 40/192".to_owned(),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(masked(&line), expected);
        }
    }

    proptest! {
        #[test]
        fn any_line_survives(line in "\\PC{0,80}") {
            let once = masked(&line);

            prop_assert!(once.len() <= line.len() + 4 * line.chars().count());
        }

        #[test]
        fn no_password_survives(secret in "[a-zA-Z0-9]{6,20}", before in "[a-z ]{0,10}") {
            let line = format!("{before} password={secret}");

            prop_assert!(masked(&line).ends_with("password=****"));
        }
    }
}
