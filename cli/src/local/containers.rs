//! `--container` and `--engine`: the jobs of a local cloud as containers of an image, as they are in AWS.

use std::process::Command;

use clap::Args;

use crate::problem::{Exit, Problem};

/// Which image, and by which engine.
#[derive(Debug, Clone, Args)]
pub(crate) struct Containers {
    /// Run every job in a container of this image, which the engine must have; `make image` builds it
    #[arg(long, value_name = "IMAGE")]
    pub(crate) container: Option<String>,
    /// The image of the stages after the training; the same one, when nobody says
    #[arg(long, value_name = "IMAGE", requires = "container")]
    pub(crate) post_processing_container: Option<String>,
    /// The container engine's command: docker or podman
    #[arg(long, default_value = "docker", value_name = "COMMAND")]
    pub(crate) engine: String,
}

/// The template's parameters that name the images, with names by which the engine finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) train: String,
    pub(crate) post_processing: Option<String>,
}

impl Containers {
    /// Asks the engine for the images; none when jobs are programs of this machine.
    pub(crate) fn images(&self) -> Result<Option<Images>, Problem> {
        let Some(image) = &self.container else {
            return Ok(None);
        };
        let other = self.post_processing_container.as_deref();
        Ok(Some(Images {
            train: self.by_digest(image)?,
            post_processing: other.map(|image| self.by_digest(image)).transpose()?,
        }))
    }

    /// An image that was never pushed has no digest of a registry; its id stands for it, and names it as surely.
    fn by_digest(&self, image: &str) -> Result<String, Problem> {
        let engine = &self.engine;
        let output = Command::new(engine)
            .args(["image", "inspect", "--format", "{{.Id}}", image])
            .output()
            .map_err(|error| {
                let sentence = format!("container engine `{engine}`: {error}");
                Problem::new(Exit::Configuration, sentence)
                    .hint("install docker or podman, or name it with --engine")
            })?;
        if !output.status.success() {
            let sentence = format!("container engine `{engine}` has no image `{image}`");
            return Err(Problem::new(Exit::Configuration, sentence)
                .hint("build it with `make image`, or pull it"));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let id = answer.trim();
        Ok(format!(
            "local/trainer@sha256:{}",
            id.strip_prefix("sha256:").unwrap_or(id)
        ))
    }
}
