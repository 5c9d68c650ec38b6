//! What a week is meant to be, before anything goes wrong.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::planted::Planted;
use trainspot_edge::settings::Settings;
use trainspot_shared::identity::PipelineName;
use trainspot_shared::run::Platform;
use trainspot_shared::schedule::Schedules;

use crate::results::Results;
use crate::spec::Spec;
use crate::week::at;

pub(super) const DATA: &str = "trainspot-data";
pub(super) const RESULTS: &str = "trainspot-results";
const QUEUE: &str = "arn:aws:batch:us-east-1:123456789012:job-queue/trainspot-";
const DEFINITION: &str = "arn:aws:batch:us-east-1:123456789012:job-definition/trainspot-";

/// Sunday night.
pub(super) const BEGINS_AT: &str = "2026-11-23T00:00:00Z";
/// The functions' time-out in the template.
pub(super) const FUNCTION_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// What the functions live if somebody forgot that leases are made for [`FUNCTION_TIMEOUT`].
const FORGOTTEN_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// After the last tick.
const TROUBLE_LASTS: SignedDuration = SignedDuration::from_hours(14);

/// A bug on purpose, to see that the weeks find it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bug {
    /// None.
    #[default]
    None,
    /// The agents work and publish whatever the heads say.
    NoStageHead,
    /// A job is submitted before the ledger says so.
    SubmitBeforeSave,
    /// The client sends `SubmitJob` again by itself.
    RepeatedSubmissions,
    /// A claim runs out while its holder is still at work.
    ShortLease,
    /// A late event changes how a run ended.
    TerminalOverwritten,
}

impl Bug {
    /// How long a function lives. With [`Bug::ShortLease`] it outlives its claims by far: a little less than
    /// that the look-up, the skew and the rest that a claim must have would hide for thousands of weeks.
    pub(super) const fn function_lives(self) -> SignedDuration {
        match self {
            Self::ShortLease => FORGOTTEN_TIMEOUT,
            _ => FUNCTION_TIMEOUT,
        }
    }

    const fn planted(self) -> Planted {
        match self {
            Self::SubmitBeforeSave => Planted::SubmitBeforeSave,
            Self::ShortLease => Planted::ShortLease,
            Self::TerminalOverwritten => Planted::TerminalOverwritten,
            Self::None | Self::NoStageHead | Self::RepeatedSubmissions => Planted::None,
        }
    }
}

/// A pipeline of the week.
#[derive(Debug, Clone)]
pub(super) struct PipelinePlan {
    pub(super) name: PipelineName,
    pub(super) prefix: &'static str,
    pub(super) spec: Spec,
    pub(super) waits_for_data: bool,
    pub(super) ticks: [Timestamp; 2],
    cron: &'static str,
}

/// The week.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) pipelines: [PipelinePlan; 2],
    pub(super) results: Results,
    /// Trouble ends then.
    pub(super) calm_at: Timestamp,
}

/// Days apart, or so near that the second tick may meet the first one's run.
const TICKS: [(&str, [&str; 2]); 4] = [
    (
        "cron(0 2 ? * MON,FRI *)",
        ["2026-11-23T02:00:00Z", "2026-11-27T02:00:00Z"],
    ),
    (
        "cron(0 2,3 ? * MON *)",
        ["2026-11-23T02:00:00Z", "2026-11-23T03:00:00Z"],
    ),
    (
        "cron(30 2,5 ? * MON *)",
        ["2026-11-23T02:30:00Z", "2026-11-23T05:30:00Z"],
    ),
    (
        "cron(15 1 ? * MON,TUE *)",
        ["2026-11-23T01:15:00Z", "2026-11-24T01:15:00Z"],
    ),
];

impl Plan {
    pub(super) fn draw(chance: &mut fastrand::Rng) -> Self {
        let mut pipeline = |name: &'static str, prefix: &'static str| {
            let (cron, ticks) = TICKS[chance.usize(0..TICKS.len())];
            let overlap = ["skip", "queue", "allow"][chance.usize(0..3)];
            let waits_for_data = chance.u8(0..4) == 0;
            let mut spec = Spec::default()
                .named(name, prefix)
                .overlap(overlap)
                .shards(chance.u32(1..=3))
                .within(["24h", "3h"][usize::from(chance.u8(0..5) == 0)]);
            if waits_for_data {
                spec = spec.waiting_for_data("2h");
            }
            PipelinePlan {
                name: name.parse().expect("a valid name"),
                prefix,
                spec,
                waits_for_data,
                ticks: ticks.map(at),
                cron,
            }
        };
        let pipelines = [
            pipeline("recommender", "interactions/"),
            pipeline("ranker", "clicks/"),
        ];
        let last = pipelines.iter().flat_map(|p| p.ticks).max();
        Self {
            results: Results {
                gain: [0.05, 0.05, 0.05, -0.05][chance.usize(0..4)],
                is_verified: chance.u8(0..30) != 0,
            },
            calm_at: last.unwrap_or_else(|| at(BEGINS_AT)) + TROUBLE_LASTS,
            pipelines,
        }
    }

    pub(super) fn settings(&self, bug: Bug) -> Settings {
        let arn = |name: &str| format!("{QUEUE}{name}");
        let schedule = |p: &PipelinePlan| {
            format!(
                r#""{}":{{"expression":"{}","time_zone":"UTC"}}"#,
                p.name, p.cron
            )
        };
        let [one, other] = &self.pipelines;
        let schedules = format!("{{{},{}}}", schedule(one), schedule(other));
        Settings {
            data_bucket: DATA.to_owned(),
            results_bucket: RESULTS.to_owned(),
            topic_arn: "arn:aws:sns:us-east-1:123456789012:trainspot".to_owned(),
            platform: Platform {
                spot_queue: arn("gpu-spot"),
                on_demand_queue: arn("gpu-on-demand"),
                post_processing_queue: arn("post-processing"),
                train_definition: format!("{DEFINITION}gpu:3"),
                post_processing_definition: format!("{DEFINITION}post:3"),
                image: "trainspot-trainer@sha256:00".to_owned(),
                post_processing_image: "trainspot-trainer@sha256:00".to_owned(),
                results_bucket: RESULTS.to_owned(),
                gpu_instance_types: vec!["g4dn.xlarge".to_owned()],
                cpu_instance_types: vec!["m6i.large".to_owned()],
            },
            schedules: Schedules::parse(&schedules).expect("the schedules are valid"),
            function_timeout: Duration::from_secs(FUNCTION_TIMEOUT.as_secs().unsigned_abs()),
            metrics_namespace: Some("trainspot/weeks".to_owned()),
            planted: bug.planted(),
        }
    }
}
