//! Memory for the parts on their way up: taken once while any are under way, used over and over, and given
//! back as a whole.
//!
//! Parts are as large as what an allocator keeps for later, on each thread that freed some: taken and freed
//! one by one, twelve of them held twice their size. One stretch for all of them is larger than any that glibc
//! keeps (`M_MMAP_THRESHOLD` goes up to 32 MiB, mallopt(3)), costs only the pages that are written to, and is
//! the system's again as soon as the last part is gone: the program beside us has that memory then.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use super::lock;
use super::spans::WHOLE;

/// The memory of one transfer.
#[derive(Debug)]
pub(super) struct Buffers {
    /// What a request is larger than, if it is worth a piece.
    small: usize,
    /// What a request fills at the most, as [`super::spans()`] cuts files.
    piece: usize,
    pieces: usize,
    stretch: Arc<Mutex<Stretch>>,
}

/// Is there while a piece of it is out.
#[derive(Debug, Default)]
struct Stretch {
    free: Vec<BytesMut>,
    out: usize,
}

impl Buffers {
    /// For as many parts of `part` bytes as `in_flight` bytes hold.
    pub(super) fn of(part: u64, in_flight: u64) -> Self {
        let piece = usize::try_from(part.saturating_mul(WHOLE)).unwrap_or(usize::MAX);
        Self {
            small: usize::try_from(part / 2).unwrap_or(usize::MAX),
            piece,
            pieces: usize::try_from(in_flight / part.max(1)).unwrap_or(0),
            stretch: Arc::default(),
        }
    }

    /// Memory for `length` bytes, whatever they are now. What is far from a part, or one more than the room
    /// holds, has memory of its own. A part leaves half of its piece untouched, which costs nothing.
    pub(super) fn take(&self, length: usize) -> Buffer {
        let piece = (length > self.small && length <= self.piece).then(|| self.piece());
        if let Some(piece) = piece.flatten() {
            Buffer {
                bytes: piece,
                length,
                home: Some(Arc::clone(&self.stretch)),
            }
        } else {
            Buffer {
                bytes: BytesMut::zeroed(length),
                length,
                home: None,
            }
        }
    }

    fn piece(&self) -> Option<BytesMut> {
        let mut stretch = lock(&self.stretch);
        if stretch.out == 0 {
            let mut all = BytesMut::zeroed(self.piece.checked_mul(self.pieces)?);
            stretch.free = (0..self.pieces).map(|_| all.split_to(self.piece)).collect();
        }
        let piece = stretch.free.pop()?;
        stretch.out += 1;
        Some(piece)
    }
}

/// Memory that goes back by itself.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: BytesMut,
    length: usize,
    home: Option<Arc<Mutex<Stretch>>>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else {
            return;
        };
        let mut stretch = lock(&home);
        stretch.free.push(std::mem::take(&mut self.bytes));
        stretch.out -= 1;
        if stretch.out == 0 {
            stretch.free = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(buffers: &[Buffer]) -> Vec<usize> {
        let mut starts: Vec<_> = buffers
            .iter()
            .map(|buffer| buffer.as_ref().as_ptr().addr())
            .collect();
        starts.sort_unstable();
        starts
    }

    #[test]
    fn parts_are_read_into_the_same_memory_again_and_again() {
        let buffers = Buffers::of(8, 24);
        let mut held: Vec<_> = (0..3).map(|_| buffers.take(8)).collect();
        let first = starts(&held);

        for _ in 0..10 {
            held.remove(0);
            held.push(buffers.take(15));
            assert_eq!(starts(&held), first);
        }
    }

    #[test]
    fn nothing_is_kept_when_the_last_part_is_gone() {
        let buffers = Buffers::of(8, 24);
        let (one, two) = (buffers.take(8), buffers.take(8));
        drop(one);
        assert_eq!(lock(&buffers.stretch).free.len(), 2);

        drop(two);

        assert_eq!(lock(&buffers.stretch).free.capacity(), 0);
    }

    #[test]
    fn what_is_no_part_and_one_too_many_have_memory_of_their_own() {
        let buffers = Buffers::of(8, 16);
        let held: Vec<_> = [16, 4, 17, 0, 5, 8]
            .map(|length| buffers.take(length))
            .into();

        let of_stretch = held.iter().map(|buffer| buffer.home.is_some());
        assert_eq!(
            of_stretch.collect::<Vec<_>>(),
            [true, false, false, false, true, false]
        );
        let lengths = held.iter().map(|buffer| buffer.as_ref().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [16, 4, 17, 0, 5, 8]);
    }
}
