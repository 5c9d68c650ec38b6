//! What happened, line by line, for whoever reads a week that failed.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use trainspot_edge::memory::Written;
use trainspot_shared::pipeline_head::PipelineHead;
use trainspot_shared::run::Run;
use trainspot_shared::stage_head::StageHead;

/// Nothing is kept unless somebody is going to read it.
#[derive(Debug, Default)]
pub(super) struct Story(Option<Vec<(Timestamp, String)>>);

impl Story {
    pub(super) fn told(is_told: bool) -> Self {
        Self(is_told.then(Vec::new))
    }

    pub(super) fn tell(&mut self, at: Timestamp, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push((at, line()));
        }
    }

    /// What a write says, against the version before.
    pub(super) fn tell_write(&mut self, written: &Written, before: Option<&Run>) {
        let Some(lines) = &mut self.0 else { return };
        let by = &written.by;
        let text = if written.key.ends_with("/run.json") {
            serde_json::from_slice::<Run>(&written.body).map(|run| of_ledger(&run, before))
        } else if written.key.starts_with("state/") && written.key.ends_with("/head.json") {
            serde_json::from_slice::<StageHead>(&written.body)
                .map(|head| of_head(&written.key, &head))
                .or_else(|_| {
                    serde_json::from_slice::<PipelineHead>(&written.body)
                        .map(|head| of_pipeline(&head))
                })
        } else {
            return;
        };
        let text = text.unwrap_or_else(|error| format!("{}: {error}", written.key));
        lines.push((written.at, format!("{by} writes {text}")));
    }

    /// All of it.
    pub(super) fn read(&self) -> String {
        let mut text = String::new();
        for (at, line) in self.0.iter().flatten() {
            let time = at.to_zoned(TimeZone::UTC).strftime("%a %H:%M:%S%.3f");
            text.push_str(&format!("{time}  {line}\n"));
        }
        text
    }
}

fn of_ledger(run: &Run, before: Option<&Run>) -> String {
    let known = before.map_or(0, |before| before.history.len());
    let news: Vec<&str> = run
        .history
        .iter()
        .skip(known)
        .map(|line| line.what.as_str())
        .collect();
    let pending: Vec<String> = run
        .pending
        .iter()
        .map(|p| {
            let claim = p.claim.as_ref().map_or("free", |claim| claim.by.as_str());
            format!("{} ({claim})", p.id)
        })
        .collect();
    format!(
        "{} v{} {:?}: {}; pending: [{}]",
        run.id,
        run.version,
        run.phase,
        news.join("; "),
        pending.join(", ")
    )
}

fn of_head(key: &str, head: &StageHead) -> String {
    format!(
        "{key} v{}: owner {} {:?} {:?}, checkpoint {:?}, output {:?}, closed {:?}",
        head.version,
        head.owner.submission,
        head.owner.job_id,
        head.owner.attempt,
        head.latest_checkpoint.as_ref().map(|c| c.step),
        head.output.as_ref().map(|o| (o.submission, o.attempt)),
        head.closed.as_ref().map(|c| c.reason.as_str())
    )
}

fn of_pipeline(head: &PipelineHead) -> String {
    let entries: Vec<String> = head
        .entries
        .iter()
        .map(|entry| format!("{} {:?}", entry.run_id, entry.admission))
        .collect();
    format!(
        "head of {} v{}: [{}]{}",
        head.pipeline,
        head.version,
        entries.join(", "),
        if head.paused_at.is_some() {
            ", paused"
        } else {
            ""
        }
    )
}
