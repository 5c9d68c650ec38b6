//! `trainspot push`: gives a spec to the functions. Never changes a head that is there.

use std::path::Path;

use trainspot_edge::store::{Condition, Store};
use trainspot_edge::{World, cas};
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::PipelineHead;

use crate::output;
use crate::problem::Problem;
use crate::results::Results;
use crate::spec_file::SpecFile;

/// What pushing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The pipeline had no head before: ticks count from now on.
    pub(crate) is_first: bool,
    /// The spec differs from what was there.
    pub(crate) is_changed: bool,
}

/// The command.
pub(crate) async fn push(file: &Path, bucket: Option<String>) -> anyhow::Result<()> {
    let spec = SpecFile::read_named(file)?;
    let results = Results::open(bucket).await?;
    let pushed = write(&results.store, &results.store, &results.bucket, &spec).await?;
    let name = &spec.pipeline.name;
    let place = format!("s3://{}/{}", results.bucket, layout::pipeline_spec(name));
    let what = match pushed {
        Pushed { is_first: true, .. } => "pushed for the first time; ticks count from now on",
        Pushed {
            is_changed: true, ..
        } => "pushed; the next run uses it",
        _ => "unchanged",
    };
    output::print(&format!("pipeline `{name}`: {what}\n  {place}"))
}

/// Writes the head, if there is none, and then the spec: supervision finds a pipeline by its head, and with a
/// spec makes up lost ticks, so it must know by then from which one on they count.
pub(crate) async fn write(
    store: &impl Store,
    world: &impl World,
    bucket: &str,
    spec: &SpecFile,
) -> Result<Pushed, Problem> {
    let name = &spec.pipeline.name;
    let head_key = layout::pipeline_head(name);
    let there = cas::read::<PipelineHead>(store, bucket, &head_key).await?;
    let is_first = there.is_none() && {
        let head = PipelineHead::first(name.clone(), world.now(), world.draw());
        cas::write(store, bucket, &head_key, &head, None).await?
    };
    let spec_key = layout::pipeline_spec(name);
    let before = store.get(bucket, &spec_key).await?;
    let is_changed = before.is_none_or(|there| there.body != spec.text.as_bytes());
    if is_changed {
        store
            .put(
                bucket,
                &spec_key,
                spec.text.clone().into_bytes(),
                Condition::Always,
            )
            .await?;
    }
    Ok(Pushed {
        is_first,
        is_changed,
    })
}

#[cfg(test)]
mod tests {
    use trainspot_edge::memory::MemoryStore;
    use trainspot_edge::world::RealWorld;

    use super::*;

    const BUCKET: &str = "results";

    fn spec(priority: u32) -> SpecFile {
        let text =
            format!("name = \"nightly\"\npriority = {priority}\n[train]\nprogram = [\"true\"]\n");
        SpecFile::parse(Path::new("nightly.toml"), text).expect("a spec that parses")
    }

    #[tokio::test]
    async fn a_second_push_changes_the_spec_and_leaves_the_head() {
        let store = MemoryStore::new(jiff::Timestamp::now);
        let head_key = layout::pipeline_head(&spec(1).pipeline.name);

        let first = write(&store, &RealWorld, BUCKET, &spec(1))
            .await
            .expect("the store answers");
        let head = store
            .get(BUCKET, &head_key)
            .await
            .expect("the store answers");
        let again = write(&store, &RealWorld, BUCKET, &spec(1))
            .await
            .expect("the store answers");
        let changed = write(&store, &RealWorld, BUCKET, &spec(2))
            .await
            .expect("the store answers");

        assert_eq!(
            first,
            Pushed {
                is_first: true,
                is_changed: true
            }
        );
        assert_eq!(
            again,
            Pushed {
                is_first: false,
                is_changed: false
            }
        );
        assert_eq!(
            changed,
            Pushed {
                is_first: false,
                is_changed: true
            }
        );
        assert_eq!(
            store
                .get(BUCKET, &head_key)
                .await
                .expect("the store answers"),
            head
        );
    }
}
