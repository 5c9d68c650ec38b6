//! The text of a notice: headed paragraphs, lines that fit a mail, and an end that SNS takes.
//!
//! It only lays out; what is said comes from `compose`.

use super::spell::one_line;

/// No line of a notice is longer, in characters.
const LINE_MAX: usize = 200;
/// Prose is broken here: it is read on a telephone.
const PROSE_WIDTH: usize = 96;
/// SNS takes 256 KiB for all protocols together; a mail of a tenth of that is long enough.
pub(super) const BODY_MAX_BYTES: usize = 32 * 1024;
/// A single sentence beyond this is somebody's whole stack trace.
const PROSE_MAX: usize = 1500;
const CUT: &str = "(cut here: the rest is in the ledger)\n";

/// A text under construction.
#[derive(Debug, Default)]
pub(super) struct Body {
    text: String,
}

impl Body {
    /// Begins a part of the text.
    pub(super) fn heading(&mut self, heading: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&heading.to_uppercase());
        self.text.push('\n');
    }

    /// A sentence or more, broken at words.
    pub(super) fn say(&mut self, prose: &str) {
        self.wrap(prose, "", "");
    }

    /// One of several.
    pub(super) fn item(&mut self, prose: &str) {
        self.wrap(prose, "- ", "  ");
    }

    /// As it is: one line, indented, cut if it is too long.
    pub(super) fn verbatim(&mut self, line: &str) {
        let indent = "  | ";
        self.text.push_str(indent);
        self.text.push_str(&one_line(line, LINE_MAX - indent.len()));
        self.text.push('\n');
    }

    fn wrap(&mut self, prose: &str, first: &str, then: &str) {
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in one_line(prose, PROSE_MAX).split_whitespace() {
            let word = one_line(word, LINE_MAX - then.len());
            let width = line.chars().count() + 1 + word.chars().count();
            if !is_empty && width > PROSE_WIDTH {
                self.text.push_str(&line);
                self.text.push('\n');
                then.clone_into(&mut line);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(&word);
            is_empty = false;
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// The text, cut at a line if it is too long.
    pub(super) fn finish(self) -> String {
        if self.text.len() <= BODY_MAX_BYTES {
            return self.text;
        }
        let mut kept = String::new();
        for line in self.text.split_inclusive('\n') {
            if kept.len() + line.len() + CUT.len() > BODY_MAX_BYTES {
                break;
            }
            kept.push_str(line);
        }
        kept.push_str(CUT);
        kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_line_and_the_whole_fit(
            prose in proptest::collection::vec("\\PC{0,300}", 0..8), times in 1_usize..8,
        ) {
            let mut body = Body::default();
            for text in prose.iter().cycle().take(prose.len() * times) {
                body.heading("part");
                body.say(text);
                body.item(text);
                body.verbatim(text);
            }
            let text = body.finish();

            prop_assert!(text.len() <= BODY_MAX_BYTES);
            prop_assert!(text.lines().all(|line| line.chars().count() <= LINE_MAX));
        }
    }

    #[test]
    fn prose_is_broken_at_words_and_items_hang() {
        let mut body = Body::default();
        body.heading("why");
        body.item(&"word ".repeat(25));

        insta::assert_snapshot!(body.finish(), @r"
        WHY
        - word word word word word word word word word word word word word word word word word word word
          word word word word word word
        ");
    }
}
