//! A local cloud for one test, with clients for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Builder;
use tempfile::TempDir;
use tokio::sync::broadcast;
use trainspot_localcloud::{Happening, Image, JobSnapshot, LocalCloud, Settings};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Place {
    pub(crate) cloud: LocalCloud,
    pub(crate) folder: PathBuf,
    seen: broadcast::Receiver<Happening>,
    /// Holds the folder as long as the place lives.
    temporary: Option<TempDir>,
}

pub(crate) fn settings(folder: &Path) -> Settings {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = Image {
        entrypoint: vec!["sh".into(), "-c".into()],
        ..Image::default()
    };
    let executable = std::env::current_exe().expect("a test knows its own path");
    let profile = executable
        .parent()
        .and_then(Path::parent)
        .expect("a test lies in target/<profile>/deps");
    Settings {
        parameters: [("Image".to_owned(), "registry/trainer@sha256:0".to_owned())].into(),
        boot_delay: Duration::from_millis(2),
        async_retry_scale: 0.0001,
        max_running_jobs: 4,
        ..Settings::new(
            here.join("tests/templates/small.yaml"),
            folder,
            profile.join("examples"),
            image,
        )
    }
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder can be made");
        let mut settings = settings(temporary.path());
        change(&mut settings);
        let mut place = Self::open(settings).await;
        place.temporary = Some(temporary);
        place
    }

    pub(crate) async fn open(settings: Settings) -> Self {
        let folder = settings.folder.clone();
        let cloud = LocalCloud::start(settings)
            .await
            .expect("the local cloud starts");
        let seen = cloud.happenings();
        Self {
            cloud,
            folder,
            seen,
            temporary: None,
        }
    }

    /// Stops the cloud and starts another over the same folder.
    pub(crate) async fn again(mut self) -> Self {
        let temporary = self.temporary.take();
        self.cloud.stop().await;
        let mut place = Self::open(settings(&self.folder)).await;
        place.temporary = temporary;
        place
    }

    pub(crate) fn config(&self) -> SdkConfig {
        let keys = self.cloud.sdk_environment();
        let key = |name: &str| keys.get(name).cloned().expect("the environment has keys");
        let credentials = aws_sdk_s3::config::Credentials::new(
            key("AWS_ACCESS_KEY_ID"),
            key("AWS_SECRET_ACCESS_KEY"),
            None,
            None,
            "test",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.cloud.endpoint_url())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(
                credentials,
            ))
            .http_client(Builder::new().build_http())
            .build()
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.config())
    }

    pub(crate) fn batch(&self) -> aws_sdk_batch::Client {
        aws_sdk_batch::Client::new(&self.config())
    }

    pub(crate) fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config())
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config())
    }

    /// Submits a shell script to the Spot queue.
    pub(crate) async fn submit(&self, name: &str, script: &str) -> String {
        self.submit_to("spot", name, script).await
    }

    pub(crate) async fn submit_to(&self, queue: &str, name: &str, script: &str) -> String {
        let overrides = aws_sdk_batch::types::ContainerOverrides::builder()
            .command(script)
            .build();
        let submitted = self
            .batch()
            .submit_job()
            .job_name(name)
            .job_queue(queue)
            .job_definition("train")
            .set_share_identifier((queue == "spot").then(|| "tests".into()))
            .container_overrides(overrides)
            .send()
            .await
            .expect("the job is accepted");
        submitted.job_id.expect("an accepted job has an id")
    }

    /// Waits until a happening fits.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        fits: impl Fn(&Happening) -> bool,
    ) -> Happening {
        let waiting = async {
            loop {
                let happening = self
                    .seen
                    .recv()
                    .await
                    .expect("the cloud goes on and nothing is missed");
                if fits(&happening) {
                    return happening;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("never saw {what}"))
    }

    /// Waits until the job enters the state.
    pub(crate) async fn until_job(&mut self, job_id: &str, state: &str) -> JobSnapshot {
        self.until(&format!("{job_id} {state}"), |happening| {
            matches!(happening, Happening::JobChanged { job_id: id, status, .. } if id == job_id && status == state)
        })
        .await;
        self.job(job_id)
    }

    pub(crate) fn job(&self, job_id: &str) -> JobSnapshot {
        self.cloud
            .jobs()
            .into_iter()
            .find(|job| job.job_id == job_id)
            .expect("the job is on record")
    }

    /// Waits until a condition outside the cloud holds, such as a file that a job writes.
    pub(crate) async fn until_true(&self, what: &str, holds: impl Fn() -> bool) {
        let waiting = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("never came true: {what}"));
    }

    /// A path that a test's programs may write to.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
