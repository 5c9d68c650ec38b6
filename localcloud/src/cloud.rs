//! Puts the parts together and is the owner's handle to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::batch::{self, Batch, ContainerEngine, HostSettings, JobSnapshot, Reclaim};
use crate::chaos::Strikes;
use crate::errors::{Refused, StartError};
use crate::events::EventBus;
use crate::folder::Folder;
use crate::front::{self, KEY_PREFIX};
use crate::front_struck::{self, Late};
use crate::happening::{Happening, RecordedCall, Watch};
use crate::ids::Ids;
use crate::lambda::{FunctionSettings, Functions, InvokeAnswer};
use crate::listening::Port;
use crate::s3::Store;
use crate::settings::Settings;
use crate::sns::{Notices, PublishedNotice};
use crate::sqs::Letters;
use crate::template::{Definition, REGION, Stack};

/// How long `stop` waits for answers that are on their way.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What the door hands requests to.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) batch: Arc<Batch>,
    pub(crate) notices: Notices,
    pub(crate) letters: Arc<Letters>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) strikes: Arc<Strikes>,
    /// Effects that come after their caller was cut off.
    pub(crate) late: Late,
    pub(crate) watch: Arc<Watch>,
    pub(crate) ids: Arc<Ids>,
}

/// A running local cloud. Dropping it without `stop` leaves its last steps undone and kills its children.
#[derive(Debug)]
pub struct LocalCloud {
    endpoint_url: String,
    notice_lead: Duration,
    stack: Arc<Stack>,
    parts: Arc<Parts>,
    bus: Arc<EventBus>,
    server: JoinHandle<()>,
    delivery: JoinHandle<()>,
    /// Ends the delivery once everything emitted was put on the bus.
    last: oneshot::Sender<()>,
}

impl LocalCloud {
    /// Reads the template, takes the folder, opens the door, and goes on where an earlier process stopped.
    pub async fn start(mut settings: Settings) -> Result<Self, StartError> {
        // Children run in folders of their own, where a relative path would mean something else.
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| StartError::File {
                doing: "find",
                path: path.to_owned(),
                source,
            })
        };
        settings.binaries = absolute(&settings.binaries)?;
        if !settings.image.workdir.as_os_str().is_empty() {
            settings.image.workdir = absolute(&settings.image.workdir)?;
        }
        let stack = Arc::new(Stack::load(&settings.template, &settings.parameters)?);
        let folder = Arc::new(Folder::open(&settings.folder)?);
        let ids = Arc::new(Ids::new(settings.seed, folder.starts));
        let watch = Arc::new(Watch::new());
        let port = Port::open(settings.port)
            .await
            .map_err(|source| StartError::Listen {
                port: settings.port,
                source,
            })?;
        let endpoint_url = format!("http://{}", port.address);

        let store = Store::new(Arc::clone(&folder), stack.buckets.clone()).map_err(|source| {
            StartError::File {
                doing: "make the buckets in",
                path: settings.folder.clone(),
                source,
            }
        })?;
        let strikes = Strikes::new(settings.chaos, Arc::clone(&watch));
        let letters = Arc::new(Letters::open(
            stack.letter_queues.clone(),
            Arc::clone(&folder),
            Arc::clone(&ids),
            Arc::clone(&watch),
        )?);
        let functions = Functions::new(
            Arc::clone(&stack),
            Arc::clone(&folder),
            Arc::clone(&ids),
            Arc::clone(&watch),
            Arc::clone(&letters),
            Arc::clone(&strikes),
            FunctionSettings {
                binaries: settings.binaries,
                endpoint_url: endpoint_url.clone(),
                retry_scale: settings.async_retry_scale,
            },
        );
        let bus = EventBus::new(
            Arc::clone(&stack),
            Arc::clone(&functions),
            Arc::clone(&letters),
            Arc::clone(&ids),
            Arc::clone(&watch),
            Arc::clone(&strikes),
            settings.duplicate_events,
        )?;
        let notices = Notices::open(
            stack.topics.clone(),
            Arc::clone(&folder),
            Arc::clone(&ids),
            Arc::clone(&watch),
        )?;
        let containers = match &settings.containers {
            Some(command) => {
                let engine = ContainerEngine::find(command).await;
                Some(engine.map_err(|why| StartError::Containers { why })?)
            }
            None => None,
        };
        let (events, mut emitted) = mpsc::unbounded_channel();
        let batch = Batch::open(
            Arc::clone(&stack),
            folder,
            Arc::clone(&ids),
            Arc::clone(&watch),
            Arc::clone(&strikes),
            HostSettings {
                image: settings.image,
                containers,
                instance_type: settings.instance_type,
                boot_delay: settings.boot_delay,
                time_scale: settings.job_time_scale,
                max_running: settings.max_running_jobs,
                endpoint_url: endpoint_url.clone(),
            },
            events,
        )?;
        let parts = Arc::new(Parts {
            store: Arc::new(store),
            batch,
            notices,
            letters,
            functions,
            strikes,
            late: Late::default(),
            watch,
            ids,
        });

        let door = Arc::clone(&parts);
        let router = Router::new().fallback(any(move |request| {
            front::handle(Arc::clone(&door), request)
        }));
        let server = match settings.bytes_per_s {
            Some(bytes_per_s) => port.serve_over(router, bytes_per_s),
            None => port.serve(router),
        };
        let (last, mut no_more) = oneshot::channel();
        let delivery = tokio::spawn({
            let bus = Arc::clone(&bus);
            async move {
                loop {
                    tokio::select! {
                        // What was emitted before the stop is accepted for delivery, and outlives it.
                        biased;
                        event = emitted.recv() => match event {
                            Some(event) => bus.put(event),
                            None => return,
                        },
                        _ = &mut no_more => return,
                    }
                }
            }
        });
        parts.functions.resume()?;
        parts.batch.begin();
        if settings.fire_schedules {
            bus.start_clocks();
        }
        Ok(Self {
            endpoint_url,
            notice_lead: settings.notice_lead,
            stack,
            parts,
            bus,
            server,
            delivery,
            last,
        })
    }

    /// `http://127.0.0.1:<port>`, for every service.
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// What an AWS SDK or the `aws` command needs in its environment to work against this cloud.
    pub fn sdk_environment(&self) -> BTreeMap<String, String> {
        sdk_environment(&self.endpoint_url, "person")
    }

    /// What `Ref` of a resource gives: a bucket's name, a queue's or topic's ARN, a function's name.
    pub fn physical(&self, logical_id: &str) -> Option<String> {
        self.stack.physical.get(logical_id).cloned()
    }

    /// How long before its end a reclaimed host is told when nobody says otherwise.
    pub fn notice_lead(&self) -> Duration {
        self.notice_lead
    }

    /// Fires a scheduled rule or schedule as if it were due at `at`, and answers the invocation's request id.
    #[expect(
        clippy::unused_async,
        reason = "delivery may come to wait, and callers should not have to change then"
    )]
    pub async fn deliver_tick(
        &self,
        rule_logical_id: &str,
        at: Timestamp,
    ) -> Result<String, Refused> {
        let request_id = self.bus.tick(rule_logical_id, at, true)?;
        request_id.ok_or_else(|| Refused::NoSuchRule(rule_logical_id.to_owned()))
    }

    /// Invokes a function (by logical id, name or ARN) and waits for its answer.
    pub async fn invoke(&self, function: &str, payload: Value) -> Result<InvokeAnswer, Refused> {
        let found = self
            .stack
            .function(function)
            .ok_or_else(|| Refused::NoSuchFunction(function.to_owned()))?;
        Ok(self
            .parts
            .functions
            .invoke(found, payload.to_string().into())
            .await)
    }

    /// Puts an event on the bus; members that a sender may leave out are filled in.
    #[expect(
        clippy::unused_async,
        reason = "delivery may come to wait, and callers should not have to change then"
    )]
    pub async fn put_event(&self, event: Value) {
        self.bus.put(event);
    }

    /// Takes the host of a STARTING or RUNNING job back.
    #[expect(
        clippy::unused_async,
        reason = "reclaiming may come to wait, and callers should not have to change then"
    )]
    pub async fn reclaim(&self, job_id: &str, how: Reclaim) -> Result<(), Refused> {
        self.parts.batch.reclaim(job_id, how)
    }

    /// Whether a queue gets hosts from now on. Without, its jobs stay RUNNABLE; those that run go on.
    #[expect(
        clippy::unused_async,
        reason = "jobs are started from here, which needs the runtime"
    )]
    pub async fn withhold_capacity(
        &self,
        queue_logical_id: &str,
        withheld: bool,
    ) -> Result<(), Refused> {
        let queue = self
            .stack
            .queues
            .iter()
            .find(|queue| queue.logical_id == queue_logical_id);
        let queue = queue.ok_or_else(|| Refused::NoSuchQueue(queue_logical_id.to_owned()))?;
        self.parts.batch.withhold(&queue.arn, withheld);
        Ok(())
    }

    /// Nothing goes wrong on purpose from now on; what was held back comes late all the same.
    pub fn calm(&self) {
        self.parts.strikes.calm();
    }

    /// What of the definitions' containers is done otherwise here, or not at all, as sentences by definition.
    /// Meant for clouds whose jobs are containers; programs know nothing of all that.
    pub fn not_done_of_containers(&self) -> BTreeMap<String, Vec<String>> {
        let of = |definition: &Definition| {
            (
                definition.name.clone(),
                batch::not_done(&definition.container),
            )
        };
        self.stack.definitions.iter().map(of).collect()
    }

    /// Every job on record, oldest first.
    pub fn jobs(&self) -> Vec<JobSnapshot> {
        self.parts.batch.snapshots()
    }

    /// What lies in the queue of this name, URL or ARN, as the messages' bodies, oldest first.
    pub fn letters(&self, queue: &str) -> Vec<String> {
        self.parts.letters.bodies(queue)
    }

    /// Every notice on record, oldest first.
    pub fn notices(&self) -> Vec<PublishedNotice> {
        self.parts.notices.published()
    }

    /// What happens from now on. A watcher that lags far behind loses the oldest.
    pub fn happenings(&self) -> broadcast::Receiver<Happening> {
        self.parts.watch.subscribe()
    }

    /// The calls at the wire since the start, oldest first; the oldest of very many are dropped.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.parts.watch.calls()
    }

    /// Ends every child process, waits for them, and closes the door. Jobs that ran are found lost at the next start.
    pub async fn stop(self) {
        self.bus.stop().await;
        self.parts.batch.stop().await;
        drop(self.last);
        // It was told to end; how is of no interest.
        let _ = self.delivery.await;
        self.parts.functions.stop().await;
        front_struck::stop(&self.parts).await;
        self.server.abort();
        let _ = self.server.await;
        // The folder is free for the next process when the last answer is out.
        let deadline = tokio::time::Instant::now() + LAST_ANSWERS;
        while Arc::strong_count(&self.parts) > 1 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The environment of an SDK client. The made-up access key says who calls.
pub(crate) fn sdk_environment(endpoint_url: &str, caller: &str) -> BTreeMap<String, String> {
    [
        ("AWS_ENDPOINT_URL", endpoint_url),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &format!("{KEY_PREFIX}{caller}")),
        ("AWS_SECRET_ACCESS_KEY", "nobody-checks-this"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
