//! Serves HTTP on a port of 127.0.0.1: the endpoint, each host's metadata, each function's Runtime API.

use std::io;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::throttle::{Line, ThrottledListener};

/// An open port that nobody answers at yet: what answers may need to know the address first.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
    /// `127.0.0.1:<port>`
    pub(crate) address: String,
}

impl Port {
    /// Opens the port; 0 takes any free one.
    pub(crate) async fn open(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self { listener, address })
    }

    /// Answers over a line of so many bytes a second, which all connections share; see [`Port::serve`].
    pub(crate) fn serve_over(self, router: Router, bytes_per_s: u64) -> JoinHandle<()> {
        let listener = ThrottledListener {
            listener: self.listener,
            line: Line::of(bytes_per_s),
        };
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "serve on loopback");
            }
        })
    }

    /// Answers until aborted; answers that are on their way then still go out.
    pub(crate) fn serve(self, router: Router) -> JoinHandle<()> {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let listener = self.listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection is gone already");
            }
        });
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "serve on loopback");
            }
        })
    }
}
