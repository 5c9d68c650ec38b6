//! The last lines of a program's output, in bounded memory whatever the program writes.

use std::collections::VecDeque;

use trainspot_shared::attempt::LOG_TAIL_LINES;

use crate::mask::masked;

/// Longer lines are cut: a record is read by people, and a program may never end a line.
const LONGEST_LINE_BYTES: usize = 1_000;
const CUT: &str = " … (cut)";

/// A ring of lines.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    lines: VecDeque<String>,
}

/// One stream's unfinished line; stdout and stderr each have their own, or halves would mix.
#[derive(Debug, Default)]
pub(crate) struct OpenLine {
    bytes: Vec<u8>,
    is_cut: bool,
    /// A `\r` came: what follows replaces the line, unless it is `\n`.
    returned: bool,
}

impl LogTail {
    /// The lines, newest last.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    /// Takes in a piece of a stream.
    pub(crate) fn take(&mut self, open: &mut OpenLine, piece: &[u8]) {
        for &byte in piece {
            match byte {
                b'\n' => self.end_line(open),
                b'\r' => open.returned = true,
                _ => {
                    // A progress bar draws one line over and over; only its last state is news.
                    if open.returned {
                        *open = OpenLine::default();
                    }
                    if open.bytes.len() < LONGEST_LINE_BYTES {
                        open.bytes.push(byte);
                    } else {
                        open.is_cut = true;
                    }
                }
            }
        }
    }

    /// Keeps what stands in an unfinished line, at the end of a stream.
    pub(crate) fn finish(&mut self, open: &mut OpenLine) {
        if !open.bytes.is_empty() {
            self.end_line(open);
        }
    }

    fn end_line(&mut self, open: &mut OpenLine) {
        let OpenLine { bytes, is_cut, .. } = std::mem::take(open);
        let text: String = String::from_utf8_lossy(&bytes)
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        let mut line = masked(&text);
        if is_cut {
            line.push_str(CUT);
        }
        if self.lines.len() == LOG_TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(pieces: &[&[u8]]) -> Vec<String> {
        let mut tail = LogTail::default();
        let mut open = OpenLine::default();
        for piece in pieces {
            tail.take(&mut open, piece);
        }
        tail.finish(&mut open);
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
    fn an_endless_line_is_cut() {
        let piece = vec![b'x'; 64 * 1024];

        let lines = tail_of(&[&piece, &piece, b"\nnext\n"]);

        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], format!("{}{CUT}", "x".repeat(LONGEST_LINE_BYTES)));
        assert_eq!(lines[1], "next");
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        assert_eq!(
            tail_of(&[b"10%\r50%\r", b"100%\r\ndone\r\n"]),
            ["100%", "done"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(tail_of(&[b"a\xff\x00b\n"]), ["a\u{fffd}\u{fffd}b"]);
    }

    #[test]
    fn a_secret_split_over_two_pieces_is_masked() {
        assert_eq!(tail_of(&[b"password=hun", b"ter2\n"]), ["password=****"]);
    }
}
