//! An attempt that never learned what it was to do: told to go before, or its job document cannot be
//! read. The document's key says enough to leave a record where people look for it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use trainspot_edge::store::Condition;
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::layout::{self, file::ATTEMPT};

use crate::account::SCHEMA;
use crate::assignment::Assignment;
use crate::ending::Ending;
use crate::error::AgentError;
use crate::file_set::to_json;
use crate::heard::Heard;
use crate::host::Host;
use crate::patience::patiently;
use crate::settings::Settings;

/// All that is known of it.
#[derive(Debug)]
pub(crate) struct Unread<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) started_at: Timestamp,
    pub(crate) heard: Heard,
    pub(crate) ending: Ending,
}

impl Unread<'_> {
    /// Writes the record, if anything can be written, and answers the code to exit with.
    pub(crate) async fn close(
        mut self,
        store: &impl Store,
        world: &impl World,
        settings: &Settings,
        host: &mut impl Host,
    ) -> u8 {
        let code = self.ending.exit_code;
        let why = self.ending.error.as_deref().unwrap_or("told to go");
        tracing::error!("{why}");
        let Some((key, record)) = self.record(world.now(), settings) else {
            return code;
        };
        let bucket = self.assignment.bucket.as_str();
        let written = async {
            let body = to_json(&record)?;
            // Whoever knows more than this has written it there already, or will.
            patiently(world, settings.patience, || {
                store.put(bucket, &key, body.clone(), Condition::Absent)
            })
            .await
        };
        let written = self.heard.while_finishing(host, world, written).await;
        if let Err(error) = written {
            let error: AgentError = error;
            tracing::error!("could not write the attempt's record: {}", error.sentence());
        }
        code
    }

    /// Its key and the record. Without the document the shard of an array's child is its index,
    /// which holds for all submissions but those of some shards only.
    fn record(&self, now: Timestamp, settings: &Settings) -> Option<(String, AttemptRecord)> {
        let Assignment {
            job_key,
            job_id,
            attempt,
            array_index,
            ..
        } = self.assignment;
        let (run_id, stage, submission) = layout::parse_job(job_key)?;
        let prefix = layout::results(&run_id, stage, *array_index, submission, *attempt);
        let notice = self.heard.notice;
        let identity = self.heard.identity.clone();
        let record = AttemptRecord {
            schema: SCHEMA,
            run_id,
            stage,
            shard: *array_index,
            submission,
            attempt: *attempt,
            job_id: job_id.clone(),
            life_cycle: identity.life_cycle,
            instance_type: identity.instance_type,
            instance_id: identity.instance_id,
            availability_zone: identity.availability_zone,
            started_at: self.started_at,
            program_started_at: None,
            ended_at: now,
            outcome: self.ending.outcome,
            exit_code: Some(i32::from(self.ending.exit_code)),
            program_exit_code: None,
            program_signal: None,
            notice_at: notice.map(|notice| notice.at),
            notice: notice.map(|notice| notice.kind.as_str().to_owned()),
            resumed_from: None,
            published_step: None,
            last_step: None,
            last_rate: None,
            fetch_s: None,
            cold_start: BTreeMap::new(),
            out_of_memory: false,
            failure: None,
            error: self
                .ending
                .error
                .as_deref()
                .map(|error| settings.secrets.masked(error)),
            log_tail: Vec::new(),
        };
        Some((format!("{prefix}{ATTEMPT}"), record))
    }
}
