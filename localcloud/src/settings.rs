//! What a local cloud is started with. Nothing here says what the product does: that is in the template.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::chaos::Chaos;

/// Everything that differs from one local cloud to the next.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The template whose queues, definitions, functions, rules, buckets and topics exist here.
    pub template: PathBuf,
    /// Where the state lives. Objects are plain files under `buckets/<bucket>/<key>`.
    pub folder: PathBuf,
    /// Values for the template's parameters, in place of their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Where the functions' binaries lie, each named as its `Metadata.BuildProperties.Binary`.
    pub binaries: PathBuf,
    /// What stands in for the container image of every job.
    pub image: Image,
    /// The command of a container engine, `docker` or `podman`: every job is then a container of the image that
    /// its definition names by digest, which must be the id of an image that the engine has. Of `image` only
    /// the environment counts then, on top of the image's own.
    pub containers: Option<String>,
    /// How long before its end a reclaimed host is told, when the caller does not say.
    pub notice_lead: Duration,
    /// Seeds every id that is drawn here.
    pub seed: u64,
    /// The port to listen on at 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// What a host says its instance type is when its compute environment names none.
    pub instance_type: String,
    /// How many job children run at once: the vCPUs of a laptop.
    pub max_running_jobs: usize,
    /// From RUNNABLE to RUNNING: half of it before STARTING, half after.
    pub boot_delay: Duration,
    /// Whether schedules fire by the wall clock. Otherwise only `deliver_tick` fires them.
    pub fire_schedules: bool,
    /// How many bytes a second go in and out of the endpoint, all connections together; none is as many as the
    /// machine can.
    pub bytes_per_s: Option<u64>,
    /// Whether every event is delivered twice, as at-least-once delivery allows.
    pub duplicate_events: bool,
    /// What goes wrong on purpose; none is a good week.
    pub chaos: Option<Chaos>,
    /// Scales the waits before the second and third try of a failed asynchronous invocation (1 and 2 minutes at 1.0).
    pub async_retry_scale: f64,
    /// Scales job time-outs and the template's time between SIGTERM and SIGKILL.
    pub job_time_scale: f64,
}

impl Settings {
    /// Settings with the defaults of a laptop: two jobs at once, real AWS waits, no schedule fires.
    pub fn new(
        template: impl Into<PathBuf>,
        folder: impl Into<PathBuf>,
        binaries: impl Into<PathBuf>,
        image: Image,
    ) -> Self {
        Self {
            template: template.into(),
            folder: folder.into(),
            parameters: BTreeMap::new(),
            binaries: binaries.into(),
            image,
            containers: None,
            notice_lead: Duration::from_mins(2),
            seed: 1,
            port: 0,
            instance_type: "g5.xlarge".into(),
            max_running_jobs: 2,
            boot_delay: Duration::from_millis(200),
            fire_schedules: false,
            bytes_per_s: None,
            duplicate_events: false,
            chaos: None,
            async_retry_scale: 1.0,
            job_time_scale: 1.0,
        }
    }
}

/// A program on this machine that stands in for the container image.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Comes before the container's command, as an image's ENTRYPOINT does. May be empty.
    pub entrypoint: Vec<String>,
    /// The image's ENV. A container starts from this alone, not from the caller's environment.
    pub env: BTreeMap<String, String>,
    /// The image's WORKDIR. Empty means the host's own folder.
    pub workdir: PathBuf,
}
