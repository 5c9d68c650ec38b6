//! A host: instance id, metadata service, a folder of its own, and the child process that stands for the
//! container. A host serves one attempt.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::{Child, Command};

use super::job::{Job, Placement, Role};
use crate::folder::Folder;
use crate::ids::Ids;
use crate::imds::{Identity, Imds};
use crate::settings::Image;
use crate::template::{ACCOUNT, Queue, REGION};

/// The PATH of a container whose image sets none, as container engines set it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Batch takes this much of a definition's name into a log stream's.
const DEFINITION_IN_STREAM: usize = 200;

/// Names the variable that tells a host's processes from all others of this machine. Nothing reads it but the
/// local cloud when the host ends.
const MARK: &str = "TRAINSPOT_LOCAL_HOST";

/// What all hosts have in common.
#[derive(Debug, Clone)]
pub(crate) struct HostSettings {
    pub(crate) image: Image,
    pub(crate) instance_type: String,
    pub(crate) boot_delay: Duration,
    pub(crate) time_scale: f64,
    pub(crate) max_running: usize,
    pub(crate) endpoint_url: String,
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) placement: Placement,
    metadata: Imds,
    home: PathBuf,
    log: PathBuf,
}

impl Host {
    pub(super) async fn open(
        settings: &HostSettings,
        folder: &Folder,
        ids: &Arc<Ids>,
        job: &Job,
        queue: &Queue,
    ) -> io::Result<Self> {
        let instance_id = ids.instance();
        let identity = Identity {
            instance_id: instance_id.clone(),
            instance_type: queue
                .instance_type
                .clone()
                .unwrap_or_else(|| settings.instance_type.clone()),
            zone: format!("{REGION}a"),
            market: queue.market,
        };
        let metadata = Imds::open(identity, Arc::clone(ids)).await?;
        let home = folder.path("hosts").join(&instance_id);
        fs::create_dir_all(home.join("tmp"))?;

        let environment = queue.environments.first().map_or("none", String::as_str);
        let task = ids.hex(32);
        let cluster = format!("AWSBatch-{environment}");
        let definition: String = job
            .definition_name
            .chars()
            .take(DEFINITION_IN_STREAM)
            .collect();
        let log_stream = format!("{definition}/default/{task}");
        let log = log_file(folder, &log_stream);
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)?;
        }
        let placement = Placement {
            container_instance_arn: format!(
                "arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/{cluster}/{}",
                ids.hex(32)
            ),
            task_arn: format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{task}"),
            instance_id,
            log_stream,
            process: None,
        };
        Ok(Self {
            placement,
            metadata,
            home,
            log,
        })
    }

    /// Announces the host's end to what runs on it.
    pub(super) fn mark(&self, ends_at: Timestamp) {
        self.metadata.mark(ends_at);
    }

    /// The environment variable that every process of this host was started with, and no other.
    pub(super) fn process_mark(&self) -> String {
        mark_of(&self.home)
    }

    /// The folder that goes with the host.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Starts the container's program.
    pub(super) fn start(
        &self,
        settings: &HostSettings,
        job: &Job,
        queue: &Queue,
    ) -> io::Result<Child> {
        let argv: Vec<String> = settings
            .image
            .entrypoint
            .iter()
            .cloned()
            .chain(job.command())
            .collect();
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no command"))?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let workdir = if settings.image.workdir.as_os_str().is_empty() {
            &self.home
        } else {
            &settings.image.workdir
        };
        Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.environment(settings, job, queue))
            .current_dir(workdir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// The last word has the service, then the submission, then the definition, then the image.
    fn environment(
        &self,
        settings: &HostSettings,
        job: &Job,
        queue: &Queue,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |name: &str, value: &str| {
            all.insert(name.to_owned(), value.to_owned());
        };
        set("PATH", DEFAULT_PATH);
        set("HOME", &self.home.to_string_lossy());
        set("TMPDIR", &self.home.join("tmp").to_string_lossy());
        set("HOSTNAME", &self.placement.instance_id);
        for (name, value) in &settings.image.env {
            set(name, value);
        }
        for (name, value) in
            crate::cloud::sdk_environment(&settings.endpoint_url, &format!("job.{}", job.id))
        {
            // A host has its metadata service; the SDKs look for credentials there only when there are no others.
            if name != "AWS_EC2_METADATA_DISABLED" {
                set(&name, &value);
            }
        }
        for (name, value) in job.environment() {
            set(name, value);
        }
        set(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            self.metadata.endpoint(),
        );
        set(MARK, &self.home.to_string_lossy());
        set("AWS_BATCH_JOB_ID", &job.id);
        set(
            "AWS_BATCH_JOB_ATTEMPT",
            &(job.attempts.len() + 1).to_string(),
        );
        set("AWS_BATCH_JQ_NAME", &queue.name);
        set(
            "AWS_BATCH_CE_NAME",
            queue.environments.first().map_or("", String::as_str),
        );
        if let Role::Child { index, size, .. } = &job.role {
            set("AWS_BATCH_JOB_ARRAY_INDEX", &index.to_string());
            set("AWS_BATCH_JOB_ARRAY_SIZE", &size.to_string());
        }
        all
    }
}

/// The mark of the processes of a host that an earlier cloud had.
pub(super) fn process_mark(folder: &Folder, instance_id: &str) -> String {
    mark_of(&folder.path("hosts").join(instance_id))
}

fn mark_of(home: &Path) -> String {
    format!("{MARK}={}", home.display())
}

/// Where a log stream is written.
pub(super) fn log_file(folder: &Folder, log_stream: &str) -> PathBuf {
    folder.path("logs").join(format!("{log_stream}.log"))
}
