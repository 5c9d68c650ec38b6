//! Takes secrets out of a text before it is kept anywhere.
//!
//! Attempt records and notices are read by more people than the log stream is. It errs on the side
//! of masking; a masked harmless word costs nothing. Each rule answers which parts of a line to
//! hide; here they meet.

mod names;
mod shapes;
mod urls;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use shapes::{begins_private_key, ends_private_key};

pub(crate) const MASK: &str = "****";
/// A shorter value would hide half of every line, and is no secret to speak of.
const SHORTEST_KNOWN: usize = 6;

/// What a rule wants hidden: byte ranges of the line.
type Spans = Vec<Range<usize>>;

/// The secrets that are known by their value; cheap to clone. What looks like a secret is hidden
/// without being known.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<Vec<String>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// The values of those variables whose names say that they are secret.
    pub fn of_variables(variables: impl Iterator<Item = (String, String)>) -> Self {
        let known = variables
            .filter(|(name, _)| names::is_secret_variable(name))
            // A key over several lines is logged line by line.
            .flat_map(|(_, value)| value.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|value| value.len() >= SHORTEST_KNOWN);
        Self(Arc::new(known.collect()))
    }

    /// The line without what is, or looks like, a secret.
    pub(crate) fn masked(&self, line: &str) -> String {
        replaced(line, self.spans(line))
    }

    /// Like [`Secrets::masked`], for the beginning of a line whose rest is not known: what its end
    /// may have been torn from is left out. `margin` is longer than any secret that is told by its
    /// length.
    pub(crate) fn masked_beginning(&self, beginning: &str, margin: usize) -> String {
        let torn = beginning.rfind(names::ends_value).map_or(0, |at| {
            at + beginning[at..].chars().next().map_or(0, char::len_utf8)
        });
        let is_short = beginning.len() - torn < margin;
        let kept = if is_short {
            &beginning[..torn]
        } else {
            beginning
        };
        let mut spans = self.spans(kept);
        spans.extend(self.torn_known(kept));
        replaced(kept, spans)
    }

    fn spans(&self, line: &str) -> Spans {
        let mut spans = self.known(line);
        spans.extend(names::spans(line));
        spans.extend(shapes::spans(line));
        spans.extend(urls::spans(line));
        spans
    }

    fn known(&self, line: &str) -> Spans {
        let found = self.0.iter().flat_map(|value| {
            let found = line.match_indices(value.as_str());
            found.map(|(at, _)| at..at + value.len())
        });
        found.collect()
    }

    /// Where the text ends with the beginning of a known value.
    fn torn_known(&self, text: &str) -> Spans {
        let longest = |value: &String| {
            let ends = value.char_indices().map(|(end, _)| end).rev();
            let length = ends
                .take_while(|&end| end > 0)
                .find(|&end| text.ends_with(&value[..end]))?;
            Some(text.len() - length..text.len())
        };
        self.0.iter().filter_map(longest).collect()
    }
}

/// The line with every span masked once, however many overlap.
fn replaced(line: &str, mut spans: Spans) -> String {
    spans.retain(|span| !span.is_empty());
    spans.sort_by_key(|span| span.start);
    let mut out = String::with_capacity(line.len());
    let mut from = 0;
    for span in spans {
        if span.start >= from {
            out.push_str(&line[from..span.start]);
            out.push_str(MASK);
        }
        from = from.max(span.end);
    }
    out.push_str(&line[from..]);
    out
}

#[cfg(test)]
mod tests;
