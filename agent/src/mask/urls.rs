//! Passwords in addresses: `scheme://user:password@host`.

use super::Spans;

/// A user without a password is a name, unless it is as long as a token.
const LONGEST_NAME: usize = 15;

pub(super) fn spans(line: &str) -> Spans {
    let mut spans = Spans::new();
    for (at, scheme_end) in line.match_indices("://") {
        let begin = at + scheme_end.len();
        let address = &line[begin..];
        let end = address
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>'))
            .unwrap_or(address.len());
        let address = &address[..end];
        let host_end = address.find(['/', '?', '#']).unwrap_or(address.len());
        let in_place = address[..host_end].rfind('@');
        // A password may hold what should have been encoded; a port is none.
        let Some(at) = in_place.or_else(|| address.rfind('@')) else {
            continue;
        };
        let user_info = &address[..at];
        match user_info.split_once(':') {
            Some((_, password)) if in_place.is_none() && is_port(password) => {}
            Some((user, _)) if user.contains('/') => {}
            Some((user, _)) => spans.push(begin + user.len() + 1..begin + at),
            None if in_place.is_some() && user_info.len() > LONGEST_NAME => {
                spans.push(begin..begin + at);
            }
            None => {}
        }
    }
    spans
}

/// `8080/path`
fn is_port(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && matches!(text.as_bytes().get(digits), Some(b'/' | b'?' | b'#'))
}
