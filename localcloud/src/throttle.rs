//! A network that is no faster than a host's: all bytes in and out of the endpoint share so many a second.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};

use crate::locked::locked;

/// Written at once at most, so that connections take turns.
const MOUTHFUL: usize = 64 << 10;
/// What an idle line has saved up at most.
const SAVED_UP: Duration = Duration::from_millis(10);

/// The line that all connections share.
#[derive(Debug)]
pub(crate) struct Line {
    bytes_per_s: f64,
    /// When it will have carried everything that was put on it.
    free_at: Mutex<Option<Instant>>,
}

impl Line {
    pub(crate) fn of(bytes_per_s: u64) -> Arc<Self> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a speed, of which no digit counts"
        )]
        let bytes_per_s = bytes_per_s.max(1) as f64;
        Arc::new(Self {
            bytes_per_s,
            free_at: Mutex::default(),
        })
    }

    /// Until when the line is busy; none if it is free.
    fn busy_until(&self) -> Option<Instant> {
        let until = *locked(&self.free_at);
        until.filter(|until| *until > Instant::now())
    }

    /// `bytes` go over it.
    fn carry(&self, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "no more than a mouthful")]
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s);
        let now = Instant::now();
        let mut free_at = locked(&self.free_at);
        let earliest = now.checked_sub(SAVED_UP).unwrap_or(now);
        let from = free_at.map_or(earliest, |at| at.max(earliest));
        *free_at = Some(from + takes);
    }
}

/// Accepts connections onto the line.
pub(crate) struct ThrottledListener {
    pub(crate) listener: TcpListener,
    pub(crate) line: Arc<Line>,
}

impl Listener for ThrottledListener {
    type Io = Throttled;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection is gone already");
        }
        let throttled = Throttled {
            stream,
            line: Arc::clone(&self.line),
            waits: None,
        };
        (throttled, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection over the line.
#[derive(Debug)]
pub(crate) struct Throttled {
    stream: TcpStream,
    line: Arc<Line>,
    waits: Option<Pin<Box<Sleep>>>,
}

impl Throttled {
    /// Ready when the line is free.
    fn poll_free(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.waits {
                ready!(sleep.as_mut().poll(context));
                self.waits = None;
            }
            match self.line.busy_until() {
                None => return Poll::Ready(()),
                Some(until) => self.waits = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
    }
}

impl AsyncRead for Throttled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_free(context));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.line.carry(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Throttled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_free(context));
        let mouthful = bytes.get(..MOUTHFUL).unwrap_or(bytes);
        let n = ready!(Pin::new(&mut self.stream).poll_write(context, mouthful))?;
        self.line.carry(n);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_busy_for_as_long_as_its_bytes_take() {
        let line = Line::of(1_000_000);
        let began = Instant::now();
        line.carry(10_000);
        line.carry(1_990_000);

        let busy_for = line.busy_until().map(|until| until - began);

        // An idle line had saved up ten milliseconds.
        let longest = Duration::from_secs(2);
        assert!(busy_for.is_some_and(|time| time <= longest && time + SAVED_UP >= longest));
        tokio::time::advance(longest).await;
        assert_eq!(line.busy_until(), None);
    }
}
