//! Parts of one file that are under way side by side, while the next one is prepared.

use std::pin::pin;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use crate::store::StoreError;

/// The parts.
pub(super) struct UnderWay<'f, T> {
    parts: FuturesUnordered<BoxFuture<'f, Result<T, StoreError>>>,
    done: Vec<T>,
}

impl<'f, T> UnderWay<'f, T> {
    pub(super) fn none() -> Self {
        Self {
            parts: FuturesUnordered::new(),
            done: Vec::new(),
        }
    }

    /// Another one. It goes on while somebody waits by [`UnderWay::beside`] or [`UnderWay::all`].
    pub(super) fn add(&mut self, part: BoxFuture<'f, Result<T, StoreError>>) {
        self.parts.push(part);
    }

    /// Does `work` while the parts go on; the first of them that fails ends it.
    pub(super) async fn beside<O>(
        &mut self,
        work: impl Future<Output = O>,
    ) -> Result<O, StoreError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                Some(part) = self.parts.next() => self.done.push(part?),
            }
        }
    }

    /// Waits for all of them; in the order in which they ended.
    pub(super) async fn all(mut self) -> Result<Vec<T>, StoreError> {
        while let Some(part) = self.parts.next().await {
            self.done.push(part?);
        }
        Ok(self.done)
    }
}
