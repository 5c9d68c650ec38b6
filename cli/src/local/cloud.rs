//! Starts a local cloud as the command line says: which template, which binaries, and what stands in
//! for the container image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use clap::Args;
use trainspot_localcloud::{Image, LocalCloud, Settings, StartError};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::pipeline::Pipeline;

use crate::local::containers::Containers;
use crate::local::{address, folder_lock};
use crate::problem::{Exit, Problem};
use crate::show::Where;

/// The template's names for what this command must know: the rest it finds in there by itself.
pub(crate) const RESULTS_BUCKET: &str = "ResultsBucket";
/// See [`RESULTS_BUCKET`].
pub(crate) const DATA_BUCKET: &str = "DataBucket";

/// A failed invocation is tried again after 3 and 6 seconds here, not after 1 and 2 minutes.
const RETRY_SCALE: f64 = 0.05;
/// Test switches of trainer and agent: they go into the image's environment when they are set here.
const TEST_SWITCHES: [&str; 3] = [
    "TRAINSPOT_TEST_IGNORE_CHECKPOINT",
    "TRAINSPOT_TEST_IGNORE_HEADS",
    "TRAINSPOT_TEST_DROP_SHARD",
];

/// Where the parts of a local cloud lie; all of them relative to the current folder.
#[derive(Debug, Clone, Args)]
pub(crate) struct Parts {
    /// The template that says what exists
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    pub(crate) template: PathBuf,
    /// Where the functions' and the agent's binaries lie
    #[arg(long, default_value = "target/debug", value_name = "DIR")]
    pub(crate) binaries: PathBuf,
    /// The Python that stands in for the image's
    #[arg(long, default_value = ".venv/bin/python", value_name = "FILE")]
    pub(crate) python: PathBuf,
    /// The folder with the Python package `trainer`
    #[arg(long, default_value = "trainer", value_name = "DIR")]
    pub(crate) trainer: PathBuf,
    /// A folder that your image adds to the trainer's: it comes first on PATH and PYTHONPATH
    #[arg(long, value_name = "DIR")]
    pub(crate) code: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) containers: Containers,
}

impl Parts {
    /// Whether everything that `pipelines` need is there; nothing is touched.
    pub(crate) fn check(&self, pipelines: &[&Pipeline]) -> Result<(), Problem> {
        let missing = |path: &Path, what: &str, hint: &str| {
            Problem::new(
                Exit::Configuration,
                format!("{what} `{}` is not there", path.display()),
            )
            .hint(hint)
        };
        if !self.template.is_file() {
            return Err(missing(
                &self.template,
                "template",
                "run it where template.yaml is, or give --template",
            ));
        }
        if self.containers.images()?.is_some() {
            return match &self.code {
                None => Ok(()),
                Some(_) => Err(Problem::new(
                    Exit::Configuration,
                    "--code stands in for an image's content, and --container brings an image",
                )
                .hint("leave one of them out")),
            };
        }
        if let Some(code) = self.code.as_deref().filter(|code| !code.is_dir()) {
            return Err(missing(
                code,
                "folder of programs",
                "--code takes the folder whose content your image adds",
            ));
        }
        let agent = self.binaries.join("trainspot-agent");
        if !agent.is_file() {
            return Err(missing(
                &agent,
                "binary",
                "build with `cargo build --workspace`, or give --binaries",
            ));
        }
        let needs_python = pipelines
            .iter()
            .flat_map(|pipeline| {
                trainspot_shared::identity::Stage::ALL.map(|stage| pipeline.stage(stage))
            })
            .flatten()
            .any(|stage| {
                stage
                    .program
                    .first()
                    .is_some_and(|word| word.starts_with("python"))
            });
        if needs_python && !self.python.is_file() {
            return Err(missing(
                &self.python,
                "Python",
                "make the environment with `make venv`, or give --python",
            ));
        }
        Ok(())
    }

    /// What stands in for the container image: the agent over this machine's Python and shell.
    fn image(&self) -> anyhow::Result<Image> {
        let agent = absolute(&self.binaries.join("trainspot-agent"))?;
        // Not resolved further: a link out of the environment would leave it.
        let python_folder = absolute(self.python.parent().unwrap_or(Path::new(".")))?;
        let trainer = absolute(&self.trainer)?;
        let code = self.code.as_deref().map(absolute).transpose()?;
        let first = code.map_or(String::new(), |code| format!("{}:", code.display()));
        let mut env = environment();
        env.extend([
            (
                "PATH".to_owned(),
                format!(
                    "{first}{}:/usr/local/bin:/usr/bin:/bin",
                    python_folder.display()
                ),
            ),
            (
                "PYTHONPATH".to_owned(),
                format!("{first}{}", trainer.display()),
            ),
            // The working tree is not the container's to write into.
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ("KERAS_BACKEND".to_owned(), "jax".to_owned()),
            ("HOME".to_owned(), "/tmp".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ]);
        let entrypoint = vec![agent.display().to_string(), "--".to_owned()];
        Ok(Image {
            entrypoint,
            env,
            workdir: PathBuf::new(),
        })
    }

    /// Stands in for the image's digest: changes with the agent's binary, the trainer's source and what `--code` adds.
    fn digest(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let agent = self.binaries.join("trainspot-agent");
        let seen = agent
            .metadata()
            .with_context(|| format!("look at `{}`", agent.display()))?;
        let built = seen
            .modified()
            .context("a file's time")?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // The binary's bytes would be hundreds of megabytes to read on every start.
        text.push_str(&format!("agent {} {}\n", seen.len(), built.as_nanos()));
        let package = self.trainer.join("trainer");
        if package.is_dir() {
            list_digests(&package, &mut text)?;
        }
        if let Some(code) = &self.code {
            list_digests(code, &mut text)?;
        }
        Ok(sha256_hex(text.as_bytes()))
    }
}

/// A line for each file below a folder, in the order of their names. What Python compiled is no source.
fn list_digests(folder: &Path, text: &mut String) -> anyhow::Result<()> {
    let doing = || format!("read folder `{}`", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(doing)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_file() {
            let read = std::fs::read(&path).with_context(|| format!("read `{}`", path.display()));
            text.push_str(&format!("{} {}\n", path.display(), sha256_hex(&read?)));
        } else if path.is_dir() && entry.file_name() != "__pycache__" {
            list_digests(&path, text)?;
        }
    }
    Ok(())
}

/// What every job is told, whether it is a program or a container.
fn environment() -> BTreeMap<String, String> {
    // Here the notice comes seconds before the end, not minutes.
    let mut env = BTreeMap::from([("TRAINSPOT_IMDS_POLL_S".to_owned(), "1".to_owned())]);
    for switch in TEST_SWITCHES {
        if let Ok(value) = std::env::var(switch) {
            tracing::warn!("test switch {switch}={value} is set for every job");
            env.insert(switch.to_owned(), value);
        }
    }
    env
}

/// A local cloud and how to reach what is in it.
#[derive(Debug)]
pub(crate) struct Local {
    /// The cloud.
    pub(crate) cloud: LocalCloud,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// The bucket of results, models and state.
    pub(crate) results: String,
    /// The bucket of datasets.
    pub(crate) data: String,
}

impl Local {
    /// Starts one. `tune` changes what differs from command to command.
    pub(crate) async fn start(
        parts: &Parts,
        folder: &Path,
        port: u16,
        tune: impl FnOnce(&mut Settings),
    ) -> anyhow::Result<Self> {
        folder_lock::refuse_if_held(folder)?;
        let images = parts.containers.images()?;
        let image = match &images {
            None => parts.image()?,
            Some(_) => Image {
                env: environment(),
                ..Image::default()
            },
        };
        let mut settings = Settings::new(
            absolute(&parts.template)?,
            absolute(folder)?,
            absolute(&parts.binaries)?,
            image,
        );
        settings.port = port;
        settings.async_retry_scale = RETRY_SCALE;
        let (train, post_processing) = match images {
            None => (format!("local/trainer@sha256:{}", parts.digest()?), None),
            Some(images) => {
                settings.containers = Some(parts.containers.engine.clone());
                (images.train, images.post_processing)
            }
        };
        let mut name = |parameter: &str, image| {
            settings.parameters.insert(parameter.to_owned(), image);
        };
        name("ImageUri", train);
        if let Some(image) = post_processing {
            name("PostProcessingImageUri", image);
        }
        tune(&mut settings);
        let cloud = LocalCloud::start(settings)
            .await
            .map_err(|error| refused(error, port))?;
        let bucket = |logical_id: &str| {
            cloud.physical(logical_id).ok_or_else(|| {
                let sentence = format!(
                    "template `{}` has no {logical_id}",
                    parts.template.display()
                );
                Problem::new(Exit::Configuration, sentence)
            })
        };
        if parts.containers.container.is_some() {
            for (definition, told) in cloud.not_done_of_containers() {
                for sentence in told {
                    eprintln!("container of {definition}: {sentence}");
                }
            }
        }
        let (results, data) = (bucket(RESULTS_BUCKET)?, bucket(DATA_BUCKET)?);
        Ok(Self {
            cloud,
            folder: folder.to_owned(),
            results,
            data,
        })
    }

    /// Objects of the results bucket are plain files.
    pub(crate) fn results_place(&self) -> Where {
        Where::Folder(self.folder.join("buckets").join(&self.results))
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("make `{}` absolute", path.display()))
}

fn refused(error: StartError, port: u16) -> anyhow::Error {
    match &error {
        StartError::FolderInUse { folder } => folder_lock::held_by_another(folder).into(),
        StartError::Listen { .. } if std::env::var_os("TRAINSPOT_LOCAL_PORT").is_some() => {
            address::choose_again()
        }
        StartError::Listen { .. } => {
            Problem::new(Exit::InUse, format!("port {port} on 127.0.0.1 is taken"))
                .hint("give another --port; 0 takes any free one")
                .into()
        }
        _ => Problem::new(
            Exit::Configuration,
            format!("{:#}", anyhow::Error::new(error)),
        )
        .into(),
    }
}
