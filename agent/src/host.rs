//! What comes to the agent from outside: signals, and what the instance says of itself.

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::program::Signal;

/// Where an attempt runs, for its record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostIdentity {
    /// `spot` or `on-demand`.
    pub life_cycle: Option<String>,
    /// Such as `g4dn.xlarge`.
    pub instance_type: Option<String>,
    /// Such as `i-0123456789abcdef0`.
    pub instance_id: Option<String>,
    /// Such as `us-east-1a`.
    pub availability_zone: Option<String>,
}

/// Something that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The instance's metadata was read.
    Identity(HostIdentity),
    /// The host is taken back.
    SpotNotice {
        /// When it goes, where the notice said so.
        goes_at: Option<Timestamp>,
    },
    /// The host is likely to be taken back.
    RebalanceHint,
    /// How busy each GPU of the container was just now, in per cent.
    GpusBusy(Vec<u8>),
    /// `SIGTERM`: end within seconds.
    Terminate,
    /// Another signal for the program.
    Forward(Signal),
}

/// Where happenings come from.
pub trait Host: Send {
    /// The next one; never ends when nothing comes. May be dropped and called again.
    fn next(&mut self) -> impl Future<Output = Happening> + Send;
}

/// Happenings sent by other tasks: signals and metadata in the binary, a script in a proof.
#[derive(Debug)]
pub struct Channel(mpsc::UnboundedReceiver<Happening>);

impl Channel {
    /// A channel and its sender.
    pub fn open() -> (mpsc::UnboundedSender<Happening>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }
}

impl Host for Channel {
    async fn next(&mut self) -> Happening {
        match self.0.recv().await {
            Some(happening) => happening,
            None => std::future::pending().await,
        }
    }
}
