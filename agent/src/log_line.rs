//! The agent's own log lines: plain, on stderr, each with the agent's name in front, so that they
//! can be told from the program's in one stream.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Writes lines from now on. The SDK's own are left out: they tell of requests, not of decisions.
pub fn begin() -> Result<(), TryInitError> {
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Plain)
        .with_writer(std::io::stderr)
        // A line that cannot be written is lost; telling of it on the same stream would panic.
        .log_internal_errors(false);
    let ours = Targets::new().with_target("trainspot_agent", Level::INFO);
    tracing_subscriber::registry()
        .with(ours)
        .with(lines)
        .try_init()
}

struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "trainspot-agent: ")?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
