//! How an object of some size is cut into parts. Pure, and the same for both directions.

use crate::store::Span;

/// The smallest part but the last. S3 allows 5 MiB; at 8 MiB the request's own time is a tenth of a part's at
/// 85 MB/s, and a part that is repeated costs 0.1 s.
pub const PART: u64 = 8 << 20;
/// A file of up to this many parts is one request: begin, parts and complete are two round trips and three paid
/// requests more, and a second connection makes up for that only with more bytes.
pub(super) const WHOLE: u64 = 2;
/// S3's own limit.
const MOST_PARTS: u64 = 10_000;
/// Parts of huge objects are multiples of this.
const STEP: u64 = 1 << 20;

/// The parts in order, of at least `part` bytes each but the last; one, which is the whole, up to twice that size.
/// An empty object is one empty part.
pub fn spans(size: u64, part: u64) -> Vec<Span> {
    if size <= WHOLE.saturating_mul(part) {
        return vec![Span::whole(size)];
    }
    let least = size.div_ceil(MOST_PARTS);
    let length = if least <= part {
        part
    } else {
        least.next_multiple_of(STEP)
    };
    (0..size.div_ceil(length))
        .map(|n| Span {
            from: n * length,
            length: length.min(size - n * length),
            of: size,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_byte_once() {
        let sizes = [
            0,
            1,
            PART - 1,
            PART,
            PART + 1,
            2 * PART,
            2 * PART + 1,
            3 * PART + 5,
            5 << 40,
        ];
        for size in sizes {
            let spans = spans(size, PART);

            let mut at = 0;
            for span in &spans {
                assert_eq!((span.from, span.of), (at, size));
                at += span.length;
            }
            assert_eq!(at, size);
            assert!(spans.len() <= 10_000, "{size}");
            let (last, others) = spans.split_last().expect("there is one at least");
            assert!(others.iter().all(|span| span.length >= PART));
            assert!(last.length > 0 || size == 0);
        }
    }

    #[test]
    fn up_to_two_parts_it_is_the_whole() {
        assert!(spans(0, PART).iter().all(|span| span.is_whole()));
        assert!(spans(2 * PART, PART).iter().all(|span| span.is_whole()));
        assert_eq!(spans(2 * PART + 1, PART).len(), 3);
    }
}
