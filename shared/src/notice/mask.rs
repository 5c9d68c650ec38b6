//! Keeps secrets out of what people and mailboxes get: log lines, reasons and evidence.
//!
//! The agent masks what it keeps; this masks once more whatever reached the ledger by another way.
//! It rather masks a harmless word than lets a secret pass, and never changes a line without one.

/// As the agent writes it, so that masking twice changes nothing.
const MASK: &str = "****";

/// A name that ends so has a secret for a value.
const SECRET_NAMES: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "accesskey",
    "private_key",
    "signature",
    "credential",
    "credentials",
    "key_id",
];
/// The whole rest of the line is the value.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "auth"];
/// A word that begins so and goes on for long is a secret by itself.
const SECRET_PREFIXES: [&str; 8] = [
    "ghp_",
    "gho_",
    "github_pat_",
    "hf_",
    "xoxb-",
    "xoxp-",
    "sk-",
    "eyJ",
];
const LONG: usize = 16;
/// An AWS access key id is four letters and sixteen more characters.
const KEY_ID_PREFIXES: [&str; 2] = ["AKIA", "ASIA"];
const KEY_ID_LEN: usize = 20;
/// An AWS secret access key.
const SECRET_KEY_LEN: usize = 40;

/// The lines without secrets; a private key of several lines is left out as a whole.
pub(crate) fn mask_lines<'a>(lines: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut is_in_key = false;
    let mut out = Vec::new();
    for line in lines {
        let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
        let ends = line.contains("-----END") && line.contains("PRIVATE KEY");
        if begins {
            out.push(MASK.to_owned());
        } else if !is_in_key {
            out.push(mask(line));
        }
        is_in_key = (is_in_key || begins) && !ends;
    }
    out
}

/// The line without secrets.
pub(crate) fn mask(line: &str) -> String {
    mask_shapes(&mask_user_info(&mask_named(line)))
}

/// `password=…`, `"token": "…"`, `--api-key …`, `Authorization: …`.
fn mask_named(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_name) {
        let (before, from_name) = rest.split_at(start);
        out.push_str(before);
        let end = from_name.find(|c| !is_name(c)).unwrap_or(from_name.len());
        let (name, after) = from_name.split_at(end);
        out.push_str(name);
        rest = after;
        let lower = name.to_ascii_lowercase();
        let is_header = SECRET_HEADERS.iter().any(|word| lower.ends_with(word));
        let is_secret = is_header || SECRET_NAMES.iter().any(|word| lower.ends_with(word));
        let gap = if is_secret {
            value_after(after, lower.starts_with("--"))
        } else if lower == "bearer" {
            after.starts_with(' ').then_some(1)
        } else {
            None
        };
        let Some(gap) = gap else { continue };
        let (gap, value) = after.split_at(gap);
        let quote = gap.chars().last().filter(|c| matches!(c, '"' | '\''));
        let len = match quote {
            Some(quote) => value.find(quote).unwrap_or(value.len()),
            None if is_header => value.len(),
            None => value
                .find(|c: char| c.is_whitespace() || ",;&)}]".contains(c))
                .unwrap_or(value.len()),
        };
        out.push_str(gap);
        if len > 0 {
            out.push_str(MASK);
        }
        rest = &value[len..];
    }
    out.push_str(rest);
    out
}

/// How many bytes lie between a name and its value; none if no value follows.
fn value_after(after: &str, is_option: bool) -> Option<usize> {
    let is_filler = |c: char| c == ' ' || c == '\\';
    let closed = after.trim_start_matches(['\\', '"', '\'']);
    let spaced = closed.trim_start_matches(is_filler);
    let is_assigned = spaced.starts_with(['=', ':']);
    let follows = is_option && closed.starts_with(' ');
    if !(is_assigned || follows) {
        return None;
    }
    let value = spaced
        .trim_start_matches(['=', ':', '>'])
        .trim_start_matches(is_filler);
    let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
    (!value.is_empty()).then(|| after.len() - value.len())
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// `https://user:…@host`.
fn mask_user_info(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let host = after
            .find(|c: char| c == '/' || c.is_whitespace() || "\"'<>".contains(c))
            .unwrap_or(after.len());
        let authority = &after[..host];
        rest = after;
        if let Some((user, from_at)) = authority.rfind('@').map(|at| authority.split_at(at))
            && let Some((name, _)) = user.split_once(':')
        {
            out.push_str(name);
            out.push(':');
            out.push_str(MASK);
            out.push_str(from_at);
            rest = &after[host..];
        }
    }
    out.push_str(rest);
    out
}

/// Words that are secrets by their looks.
fn mask_shapes(line: &str) -> String {
    let is_word = |c: char| is_name(c) || matches!(c, '+' | '/' | '.');
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_word) {
        let (before, from_word) = rest.split_at(start);
        out.push_str(before);
        let end = from_word.find(|c| !is_word(c)).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at(end);
        out.push_str(&if is_secret_shape(word) {
            MASK.to_owned()
        } else {
            mask_key_ids(word)
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_secret_shape(word: &str) -> bool {
    let has = |test: fn(&char) -> bool| word.chars().any(|c| test(&c));
    // A digest has no capitals; a path of this length and look is rare enough to lose.
    let is_secret_key = word.len() == SECRET_KEY_LEN
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/')
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit);
    let is_issued = SECRET_PREFIXES
        .iter()
        .filter_map(|prefix| word.strip_prefix(prefix))
        .any(|tail| tail.chars().count() >= LONG);
    is_secret_key || is_issued
}

fn mask_key_ids(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    loop {
        let found = KEY_ID_PREFIXES
            .iter()
            .filter_map(|prefix| rest.find(prefix))
            .min();
        let Some(at) = found else {
            out.push_str(rest);
            return out;
        };
        let (before, id) = rest.split_at(at);
        out.push_str(before);
        let len = id
            .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit())
            .unwrap_or(id.len());
        let shown = if len >= KEY_ID_LEN { MASK } else { &id[..len] };
        out.push_str(shown);
        rest = &id[len..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_case::test_case;

    use super::*;

    #[test_case("password=hunter2 next", "password=**** next")]
    #[test_case("DB_PASSWORD: 'two words' next", "DB_PASSWORD: '****' next")]
    #[test_case(
        r#"{"session_token": "abc", "n": 3}"#,
        r#"{"session_token": "****", "n": 3}"#
    )]
    #[test_case(r#"{\"token\": \"abc\"}"#, r#"{\"token\": \"****"}"#)]
    #[test_case("Authorization: Bearer abc.def and more", "Authorization: ****")]
    #[test_case("sent Bearer abcdef twice", "sent Bearer **** twice")]
    #[test_case("run --api-key abc --steps 5", "run --api-key **** --steps 5")]
    #[test_case("id AKIAIOSFODNN7EXAMPLE used", "id **** used")]
    #[test_case("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEK3Y", "key ****")]
    #[test_case(
        "GET https://a:b@host/x?X-Amz-Signature=0a1b&n=2",
        "GET https://a:****@host/x?X-Amz-Signature=****&n=2"
    )]
    #[test_case("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "****")]
    fn a_secret_is_masked(line: &str, expected: &str) {
        assert_eq!(mask(line), expected);
    }

    #[test_case("step 412 loss 0.031 tokens=512")]
    #[test_case("ValueError: unexpected token at line 3")]
    #[test_case("sha 3f786850e387550fdab836ed7e6dc881de23001b")]
    #[test_case("reading s3://results/recommender/model.keras")]
    #[test_case("password:")]
    #[test_case("")]
    fn a_line_without_one_stays(line: &str) {
        assert_eq!(mask(line), line);
    }

    #[test]
    fn a_private_key_is_left_out_whole() {
        let lines: Vec<String> = [
            "a",
            "-----BEGIN RSA PRIVATE KEY-----",
            "MIIE",
            "-----END RSA PRIVATE KEY-----",
            "b",
        ]
        .map(str::to_owned)
        .into();

        assert_eq!(mask_lines(&lines), ["a", "****", "b"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in "\\PC*") {
            let _ = mask(&line);
        }

        #[test]
        fn a_password_never_passes(
            before in "[a-z ]{0,20}", secret in "[A-Za-z0-9!$%^*+/]{6,30}", after in "( [a-z]{0,9})?",
        ) {
            let masked = mask(&format!("{before} password={secret}{after}"));

            prop_assert!(!masked.contains(&secret), "{masked}");
        }
    }
}
