//! Why the agent itself gives up; each variant ends with another exit code.

use std::error::Error;
use std::io;
use std::path::Path;

use trainspot_edge::cas::CasError;
use trainspot_edge::store::StoreError;

/// Why the agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A variable or a document says what cannot be worked by.
    #[error("{0}")]
    Configuration(String),
    /// Data or an input is not what was pinned.
    #[error("{0}")]
    BadData(String),
    /// Somebody else owns the stage, or it was ended.
    #[error("not the owner: {0}")]
    NotOwner(String),
    /// Others kept winning on a document.
    #[error("change `{0}`: overtaken too often")]
    Contended(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A local file or process failed.
    #[error("{what}")]
    Local {
        /// What the agent was doing.
        what: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
}

impl From<CasError> for AgentError {
    fn from(error: CasError) -> Self {
        match error {
            CasError::Store(store) => Self::Store(store),
            CasError::Contended { key } => Self::Contended(key),
        }
    }
}

impl AgentError {
    /// Doing `verb` to the local `path` failed.
    pub(crate) fn local(verb: &str, path: &Path, source: io::Error) -> Self {
        Self::Local {
            what: format!("{verb} `{}`", path.display()),
            source,
        }
    }

    /// Whether trying again may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Store(store) => store.may_pass(),
            Self::Contended(_) => true,
            _ => false,
        }
    }

    /// Whether a local file was not there, or not the same from its first byte to its last: the program
    /// deletes its own old checkpoints, and it may write while its files are read.
    pub(crate) fn is_missing_file(&self) -> bool {
        match self {
            Self::Store(StoreError::Moving { .. }) => true,
            Self::Local { source, .. } | Self::Store(StoreError::File { source, .. }) => {
                is_not_found(source)
            }
            _ => false,
        }
    }

    /// The whole chain in one line.
    pub(crate) fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// A store may wrap the system's error in one of its own.
fn is_not_found(error: &io::Error) -> bool {
    if error.kind() == io::ErrorKind::NotFound {
        return true;
    }
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::NotFound)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
