//! How an invocation gets its edge from its sight of the world in memory.
//!
//! Tier A hands the sight itself over. Tier B wraps it into the SDKs, whose requests end in the same
//! sight. Faults strike in the sight only, so that both tiers suffer the same ones.

use trainspot_edge::drive::Edge;
use trainspot_edge::memory::MemoryEdge;

/// What stands between a function, or an agent, and the world.
pub trait Door: Clone + Send + Sync + 'static {
    /// What the function gets.
    type Edge: Edge + 'static;

    /// The edge of the one invocation, or the one host, whose sight this is.
    fn edge(&self, sight: MemoryEdge) -> Self::Edge;
}

/// Nothing: calls go straight into memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct InMemory;

impl Door for InMemory {
    type Edge = MemoryEdge;

    fn edge(&self, sight: MemoryEdge) -> MemoryEdge {
        sight
    }
}
