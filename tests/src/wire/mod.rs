//! The SDKs over services in memory: tier B of the proofs.
//!
//! The product's own clients, with their retries, time-outs, signatures and parsers, speak the services'
//! real protocols to a connector that ends in one invocation's sight of the world in memory. Faults
//! strike in the sight, as in tier A; here they look as on the wire. Time is the world's own: nothing
//! here waits for real, and a seed replays.

mod answer;
mod batch;
mod chunked;
mod connector;
mod edge;
mod listing;
mod request;
mod s3;
mod sns;
mod time;

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::config::{
    Credentials, IdentityCache, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use trainspot_edge::World as _;
use trainspot_edge::aws::{Aws, behaviour};
use trainspot_edge::memory::MemoryEdge;

use self::connector::Connector;
pub use self::edge::WireEdge;
use self::time::{Clock, Sleeper};
use crate::door::Door;

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:trainspot";

/// Each invocation gets SDK clients of its own, as each function's process has. Needs a world that
/// [waits by timers](MemoryEdge::wait_by_timers): the clients have time-outs running beside each call.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverTheWire;

impl Door for OverTheWire {
    type Edge = WireEdge;

    fn edge(&self, sight: MemoryEdge) -> WireEdge {
        WireEdge(Aws::with(&Self::config(&sight), TOPIC, sight))
    }
}

impl OverTheWire {
    /// The clients of an agent.
    pub fn agent(self, sight: MemoryEdge) -> WireEdge {
        WireEdge(Aws::with_agents_patience(&Self::config(&sight), sight))
    }

    fn config(sight: &MemoryEdge) -> SdkConfig {
        // The clients draw the jitter of their retries from this thread's chance: without a seed of the
        // week's own no week would replay.
        fastrand::seed(sight.chance().to_bits());
        let credentials = Credentials::new("AKIDEXAMPLE", "proof", None, None, "proof");
        SdkConfig::builder()
            .behavior_version(behaviour())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::no_cache())
            .http_client(Connector::new(sight.clone()))
            .time_source(Clock::of(sight.clone()))
            .sleep_impl(Sleeper::of(sight.clone()))
            // Answers come whole: what hangs is ended by the operation's time-out.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }
}

/// A bug on purpose: clients that send `SubmitJob` again by themselves when no answer comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct WithRepeatedSubmissions;

impl Door for WithRepeatedSubmissions {
    type Edge = WireEdge;

    fn edge(&self, sight: MemoryEdge) -> WireEdge {
        let WireEdge(clients) = OverTheWire.edge(sight);
        WireEdge(clients.plant_repeated_submissions())
    }
}
