//! A host: instance id, metadata service, a folder of its own, and the child process that stands for the
//! container. A host serves one attempt.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;

use super::container::{self, Making};
use super::container_engine::ContainerEngine;
use super::job::{Job, Placement, Role};
use super::work::{ContainerName, Work};
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
    /// Makes containers of the definitions' images; without one, programs stand in for them.
    pub(crate) containers: Option<ContainerEngine>,
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
            container: None,
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

    /// The folder that goes with the host.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Starts the container, or the program that stands in for it.
    pub(super) async fn start(
        &self,
        settings: &HostSettings,
        folder: &Folder,
        job: &Job,
        queue: &Queue,
    ) -> io::Result<Work> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut environment = self.environment(settings, job, queue);
        if let Some(engine) = &settings.containers {
            let name = ContainerName {
                engine: engine.clone(),
                // Another local cloud with the same seed draws the same ids; an engine's names are the machine's.
                name: format!(
                    "trainspot-{}-{:x}",
                    self.placement.instance_id,
                    Timestamp::now().as_microsecond()
                ),
            };
            let making = Making {
                name: &name.name,
                owner: &folder.root().display().to_string(),
                is_podman: engine.is_podman,
                command: &job.command(),
                environment: &environment,
            };
            let arguments =
                container::arguments(&job.container, making).map_err(io::Error::other)?;
            return Work::container(name, &arguments, log).await;
        }
        for (name, value) in [
            ("PATH", DEFAULT_PATH.to_owned()),
            ("HOME", self.home.display().to_string()),
            ("TMPDIR", self.home.join("tmp").display().to_string()),
            ("HOSTNAME", self.placement.instance_id.clone()),
        ] {
            environment.entry(name.to_owned()).or_insert(value);
        }
        environment.insert(MARK.to_owned(), self.home.display().to_string());
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
        let workdir = if settings.image.workdir.as_os_str().is_empty() {
            &self.home
        } else {
            &settings.image.workdir
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir(workdir);
        Work::program(command, log, mark_of(&self.home))
    }

    /// What a host adds to the image's own: the last word has the service, then the submission, then the
    /// definition, then what the owner of the local cloud set for every image.
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
