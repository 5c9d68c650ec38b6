//! Bodies that the SDKs send in pieces, each with its length before it and checksums after the last.

/// What was in the pieces. Panics at what is no such body: the SDKs send none.
pub(super) fn joined(mut sent: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let (length, rest) = line(sent);
        let length = usize::from_str_radix(length, 16).expect("a piece's length");
        if length == 0 {
            return body;
        }
        let (piece, rest) = rest.split_at_checked(length).expect("a whole piece");
        body.extend_from_slice(piece);
        sent = rest.strip_prefix(b"\r\n").expect("an end of the piece");
    }
}

fn line(text: &[u8]) -> (&str, &[u8]) {
    let end = text.windows(2).position(|two| two == b"\r\n");
    let (line, rest) = text.split_at(end.expect("an end of the line"));
    let line = std::str::from_utf8(line).expect("a length in ASCII");
    (line, &rest[2..])
}
