//! The last lines of a program's output, in bounded memory whatever the program writes.

use std::collections::VecDeque;

use trainspot_shared::attempt::LOG_TAIL_LINES;

use crate::mask::{MASK, Secrets, begins_private_key, ends_private_key};

/// Longer lines are cut: a record is read by people, and a program may never end a line.
const LONGEST_LINE_BYTES: usize = 1_000;
/// So much more of a line is looked at: a secret that the cut would tear is told by all of it.
const MARGIN_BYTES: usize = 4_096;
const WINDOW_BYTES: usize = LONGEST_LINE_BYTES + MARGIN_BYTES;
const CUT: &str = " … (cut)";
/// The longest private keys in use have a hundred; after more of them it was only talked about.
const LONGEST_KEY_LINES: u32 = 120;

/// A ring of lines. They are masked when somebody asks for them: a program may write thousands in a
/// second, and nobody ever sees most of them.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    secrets: Secrets,
    lines: VecDeque<Line>,
    /// One for each stream: halves of lines would mix.
    open: Vec<Open>,
}

#[derive(Debug, Default)]
struct Line {
    /// At most [`WINDOW_BYTES`].
    bytes: Vec<u8>,
    /// More of it was not kept.
    is_cut: bool,
    is_of_key: bool,
}

/// A stream's unfinished line.
#[derive(Debug, Default)]
struct Open {
    line: Line,
    /// A `\r` came: what follows replaces the line, unless it is `\n`.
    returned: bool,
    /// The stream has ended.
    has_ended: bool,
    /// Lines that a private key may still have.
    key_lines: u32,
}

/// Which stream a piece came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream(usize);

impl LogTail {
    /// That hides these, and whatever looks like a secret.
    pub(crate) fn hiding(secrets: Secrets) -> Self {
        Self {
            secrets,
            ..Self::default()
        }
    }

    /// Another stream.
    pub(crate) fn stream(&mut self) -> Stream {
        self.open.push(Open::default());
        Stream(self.open.len() - 1)
    }

    /// The lines, newest last, and what stands in unfinished ones.
    pub(crate) fn lines(&self) -> Vec<String> {
        let open = self.open.iter().filter(|open| !open.line.bytes.is_empty());
        let open: Vec<String> = open
            .map(|open| self.shown(&open.line, open.returned || open.has_ended))
            .collect();
        let from = (self.lines.len() + open.len()).saturating_sub(LOG_TAIL_LINES);
        let ended = self.lines.range(from.min(self.lines.len())..);
        ended
            .map(|line| self.shown(line, true))
            .chain(open)
            .collect()
    }

    /// Takes in a piece of a stream.
    pub(crate) fn take(&mut self, Stream(stream): Stream, piece: &[u8]) {
        let Some(open) = self.open.get_mut(stream) else {
            return;
        };
        for part in piece.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let (text, end) = match part.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (part, None),
            };
            if !text.is_empty() {
                // A progress bar draws one line over and over; only its last state is news.
                if std::mem::take(&mut open.returned) {
                    open.line.clear();
                }
                open.line.push(text);
            }
            match end {
                Some(b'\n') => {
                    let line = open.end_line();
                    if self.lines.len() == LOG_TAIL_LINES {
                        self.lines.pop_front();
                    }
                    self.lines.push_back(line);
                }
                Some(_) => open.returned = true,
                None => {}
            }
        }
    }

    /// The stream has ended; what stands in its line is whole.
    pub(crate) fn finish(&mut self, Stream(stream): Stream) {
        if let Some(open) = self.open.get_mut(stream) {
            open.has_ended = true;
        }
    }

    /// The end of a line that goes on may be half of a secret.
    fn shown(&self, line: &Line, is_whole: bool) -> String {
        if line.is_of_key {
            return MASK.to_owned();
        }
        let text: String = String::from_utf8_lossy(&line.bytes)
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        let masked = if is_whole && !line.is_cut {
            self.secrets.masked(&text)
        } else {
            self.secrets.masked_beginning(&text, MARGIN_BYTES)
        };
        if masked.len() <= LONGEST_LINE_BYTES && !line.is_cut {
            return masked;
        }
        let end = masked.floor_char_boundary(LONGEST_LINE_BYTES);
        format!("{}{CUT}", &masked[..end])
    }
}

impl Line {
    fn push(&mut self, text: &[u8]) {
        let room = WINDOW_BYTES - self.bytes.len();
        self.is_cut |= text.len() > room;
        self.bytes.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// The bytes keep their room.
    fn clear(&mut self) {
        self.bytes.clear();
        self.is_cut = false;
    }
}

impl Open {
    /// The line as it is, and a new one.
    fn end_line(&mut self) -> Line {
        self.returned = false;
        let mut line = std::mem::take(&mut self.line);
        line.is_of_key = self.key_lines > 0;
        if self.key_lines > 0 {
            let has_ended = ends_private_key(&line.bytes);
            self.key_lines = if has_ended { 0 } else { self.key_lines - 1 };
        }
        if begins_private_key(&line.bytes) {
            self.key_lines = LONGEST_KEY_LINES;
        }
        self.line.is_of_key = self.key_lines > 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tail_of(pieces: &[&[u8]]) -> Vec<String> {
        let mut tail = LogTail::default();
        let stream = tail.stream();
        for piece in pieces {
            tail.take(stream, piece);
        }
        tail.finish(stream);
        tail.lines()
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text = (0..500)
            .map(|n| format!("line {n}"))
            .collect::<Vec<_>>()
            .join("\n");

        let lines = tail_of(&[text.as_bytes()]);

        assert_eq!(lines.len(), LOG_TAIL_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 499"));
    }

    #[test]
    fn an_endless_line_is_cut_and_shown_while_it_is_written() {
        let piece = vec![b'x'; 64 * 1024];
        let cut = format!("{}{CUT}", "x".repeat(LONGEST_LINE_BYTES));

        assert_eq!(tail_of(&[&piece, &piece]), [cut.as_str()]);
        assert_eq!(tail_of(&[&piece, &piece, b"\nnext\n"]), [&cut, "next"]);
    }

    #[test]
    fn an_endless_line_takes_no_more_memory_than_a_long_one() {
        let mut tail = LogTail::default();
        let stream = tail.stream();
        for _ in 0..1_000 {
            tail.take(stream, &[b'x'; 4_096]);
        }

        assert!(tail.open[0].line.bytes.capacity() <= 2 * WINDOW_BYTES);
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        assert_eq!(
            tail_of(&[b"10%\r50%\r", b"100%\r\ndone\r\n"]),
            ["100%", "done"]
        );
        assert_eq!(tail_of(&[b"10%\r50%\r"]), ["50%"]);
    }

    #[test]
    fn what_may_be_half_of_a_secret_is_not_shown_before_its_end() {
        let mut tail = LogTail::default();
        let stream = tail.stream();
        tail.take(stream, b"the key is abcdEFGH12");
        let during = tail.lines();
        tail.finish(stream);

        assert_eq!(during, ["the key is "]);
        assert_eq!(tail.lines(), ["the key is abcdEFGH12"]);
    }

    #[test]
    fn two_streams_do_not_mix() {
        let mut tail = LogTail::default();
        let (out, err) = (tail.stream(), tail.stream());
        tail.take(out, b"one ");
        tail.take(err, b"two\n");
        tail.take(out, b"three\n");

        assert_eq!(tail.lines(), ["two", "one three"]);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(tail_of(&[b"a\xff\x00b\n"]), ["a\u{fffd}\u{fffd}b"]);
    }

    #[test]
    fn a_private_key_over_many_lines_is_masked_and_what_follows_is_not() {
        let text = "before\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----\nafter\n";

        let mut expected = vec!["before"];
        expected.extend([MASK; 6]);
        expected.push("after");
        assert_eq!(tail_of(&[text.as_bytes()]), expected);
    }

    #[test]
    fn a_key_whose_beginning_was_pushed_out_stays_hidden() {
        let body = "MIIEow\n".repeat(100);
        let text = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
        let tail = tail_of(&[text.as_bytes(), "x\n".repeat(150).as_bytes()]);

        assert!(!tail.concat().contains("MIIEow"));
    }

    #[test]
    fn who_only_talks_about_a_key_is_heard_again() {
        let text = format!(
            "no -----BEGIN PRIVATE KEY----- here\n{}heard\n",
            "x\n".repeat(LONGEST_KEY_LINES as usize)
        );

        assert_eq!(
            tail_of(&[text.as_bytes()]).last().map(String::as_str),
            Some("heard")
        );
    }

    /// Secrets of every kind, each with what may stand before it so that it is told as one.
    fn planted() -> impl Strategy<Value = (String, String)> {
        prop_oneof![
            ("[a-zA-Z0-9]{12,40}").prop_map(|s| ("password=".to_owned(), s)),
            ("[a-zA-Z0-9]{12,40}").prop_map(|s| ("--api-key ".to_owned(), s)),
            ("[a-zA-Z0-9._-]{20,80}").prop_map(|s| ("Authorization: Bearer ".to_owned(), s)),
            ("[A-Z0-9]{16}").prop_map(|s| (String::new(), format!("AKIA{s}"))),
            ("[A-Z][a-z][0-9][a-zA-Z0-9/+]{37}").prop_map(|s| (String::new(), s)),
            ("[a-zA-Z0-9]{36}").prop_map(|s| (String::new(), format!("ghp_{s}"))),
            ("[a-zA-Z0-9]{34}").prop_map(|s| (String::new(), format!("hf_{s}"))),
            ("[a-zA-Z0-9]{48}").prop_map(|s| (String::new(), format!("sk-{s}"))),
            ("[0-9]{12}-[a-zA-Z0-9]{24}").prop_map(|s| (String::new(), format!("xoxb-{s}"))),
            ("[a-zA-Z0-9_-]{30}\\.[a-zA-Z0-9_-]{40}\\.[a-zA-Z0-9_-]{43}")
                .prop_map(|s| (String::new(), format!("eyJ{s}"))),
            ("[a-zA-Z0-9!$*]{8,20}")
                .prop_map(|s| ("https://eve:".to_owned(), format!("{s}@host/x"))),
        ]
    }

    /// So many characters in a row of a secret are a leak.
    const LEAK: usize = 8;

    fn leaks(lines: &[String], secret: &str) -> Option<String> {
        let all = lines.join("\n");
        let secret: Vec<char> = secret.split('@').next()?.chars().collect();
        let mut pieces = secret.windows(LEAK).map(|w| w.iter().collect::<String>());
        pieces.find(|piece| all.contains(piece.as_str()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_planted_secret_is_kept_wherever_pieces_and_cuts_fall(
            (name, secret) in planted(),
            before in 0_usize..6_000,
            after in 0_usize..6_000,
            word in "[ a-z]{6}",
            cuts in proptest::collection::vec(0_usize..200, 0..4),
            is_ended in any::<bool>(),
        ) {
            let filler = |n: usize| word.chars().cycle().take(n).collect::<String>();
            // Mostly where the line is cut.
            let before = if before < 2_000 { before } else { before % 300 + WINDOW_BYTES - 200 };
            let text = format!("{} {name}{secret} {}", filler(before), filler(after));
            let at = before + name.len();
            let mut tail = LogTail::default();
            let stream = tail.stream();
            let mut from = 0;
            let mut ends: Vec<_> = cuts.iter().map(|cut| (at + cut).min(text.len())).collect();
            ends.sort_unstable();
            ends.push(text.len());
            for end in ends {
                tail.take(stream, &text.as_bytes()[from..end]);
                from = end;
                // Whoever asks in the middle of it sees no more.
                prop_assert_eq!(leaks(&tail.lines(), &secret), None);
            }
            if is_ended {
                tail.take(stream, b"\n");
            }
            tail.finish(stream);

            prop_assert_eq!(leaks(&tail.lines(), &secret), None);
        }

        #[test]
        fn no_known_secret_is_kept_wherever_pieces_and_cuts_fall(
            secret in "[a-z ,;&=\"']{8,60}",
            before in 0_usize..400,
            cut in 0_usize..60,
        ) {
            let variables = [("DB_PASSWORD".to_owned(), secret.clone())];
            let mut tail = LogTail::hiding(Secrets::of_variables(variables.into_iter()));
            let stream = tail.stream();
            let before = "0".repeat(WINDOW_BYTES - before);
            let text = format!("{before}{secret}{}", "1".repeat(6_000));
            let (first, second) = text.as_bytes().split_at(before.len() + cut.min(secret.len()));
            tail.take(stream, first);
            tail.take(stream, second);

            prop_assert_eq!(leaks(&tail.lines(), &secret), None);
        }
    }
}
