//! `trainspot start`: a run now, asked for by a person.

use jiff::Timestamp;
use trainspot_edge::world::{RealWorld, World as _};
use trainspot_shared::identity::{PipelineName, RunId, Tick};

use crate::ask::{Asking, ask};
use crate::problem::{Exit, Problem};
use crate::results::Results;

/// The command. The run's id is drawn here, once: however often the call is repeated on its way, it
/// stands for one run.
pub(crate) async fn start(
    pipeline: &str,
    force: bool,
    asking: &Asking,
    bucket: Option<String>,
) -> anyhow::Result<()> {
    let pipeline: PipelineName = pipeline
        .parse()
        .map_err(|error| Problem::new(Exit::Configuration, format!("{error}")))?;
    let tick = Tick::containing(Timestamp::now());
    let run_id = RunId::manual(pipeline, tick, &RealWorld.draw())
        .map_err(|error| Problem::new(Exit::Unforeseen, format!("{error}")))?;
    // The bucket only makes the answer richer; the function knows its own.
    let results = match bucket.filter(|name| !name.is_empty()) {
        Some(bucket) => Some(Results::open(Some(bucket)).await?),
        None => None,
    };
    ask(&run_id, force, asking, results.as_ref()).await
}
