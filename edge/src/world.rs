//! Time, chance and waiting, passed in so that a proof can replay them.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// What a handler may know of the world outside its services.
pub trait World: Send + Sync {
    /// The host's clock; other hosts may be 30 s off.
    fn now(&self) -> Timestamp;

    /// How long it has been since a moment that never changes. Unlike [`World::now`] it is never set back or
    /// ahead, as a host's clock is when it is synchronised: for everything that measures or limits a time.
    fn uptime(&self) -> Duration {
        // A virtual clock only moves on.
        Duration::try_from(self.now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }

    /// A fresh random id of 32 hexadecimal digits: a write id, a claim's nonce.
    fn draw(&self) -> String;

    /// A random number in `0.0..1.0`, for jitter.
    fn chance(&self) -> f64;

    /// Waits.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Says one line where the platform reads metrics. Neither an effect nor a call: nobody waits for it,
    /// and one that is lost changes nothing.
    fn print(&self, line: &str);
}

/// For tests only: a file with a whole number of seconds that [`RealWorld`]'s clock is ahead. Leases last
/// minutes; a test of real binaries moves the clock on instead of waiting for them.
pub const TEST_CLOCK: &str = "TRAINSPOT_TEST_CLOCK";

static TEST_CLOCK_FILE: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os(TEST_CLOCK).map(PathBuf::from));

/// When this process first asked.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealWorld;

impl World for RealWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now() + ahead()
    }

    fn uptime(&self) -> Duration {
        let ahead = Duration::try_from(ahead()).unwrap_or_default();
        BEGAN.elapsed() + ahead
    }

    fn draw(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn print(&self, line: &str) {
        // The log goes the same way: one write of the whole line, or the two would be mixed.
        let line = format!("{line}\n");
        if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
            tracing::error!(%error, "a line of metrics is lost");
        }
    }
}

/// How far the test clock is ahead; nothing without one. A file that cannot be read is a broken test, and
/// is said in the log: the clock is the real one then.
fn ahead() -> SignedDuration {
    let Some(file) = TEST_CLOCK_FILE.as_ref() else {
        return SignedDuration::ZERO;
    };
    let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let seconds = read.and_then(|text| {
        let number = text.trim().parse::<u32>();
        number.map_err(|error| error.to_string())
    });
    match seconds {
        Ok(seconds) => SignedDuration::from_secs(i64::from(seconds)),
        Err(why) => {
            tracing::error!(why, file = %file.display(), "{TEST_CLOCK}: not a number of seconds");
            SignedDuration::ZERO
        }
    }
}
