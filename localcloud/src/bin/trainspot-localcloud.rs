//! The local cloud by itself, for benchmarks: they need it optimised, and without the cli's clients that takes a tenth
//! of the time to build. For everything else there is `trainspot local serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use trainspot_localcloud::{Image, LocalCloud, Settings};

const USAGE: &str = "usage: trainspot-localcloud <template.yaml> <folder> [gbps]
Serves until its input ends. Prints what an SDK needs in its environment, and the buckets' names.";
const BYTES_OF_A_GIGABIT: f64 = 1e9 / 8.0;
/// As `EX_USAGE` of sysexits.h.
const WRONG_USAGE: u8 = 64;

/// What was typed.
struct Arguments {
    template: PathBuf,
    folder: PathBuf,
    bytes_per_s: Option<u64>,
}

impl Arguments {
    fn parse(mut typed: impl Iterator<Item = String>) -> Option<Self> {
        let (template, folder) = (typed.next()?.into(), typed.next()?.into());
        let bytes_per_s = match typed.next() {
            None => None,
            Some(gbps) => Some(bytes_per_s(gbps.parse().ok()?)?),
        };
        typed.next().is_none().then_some(Self {
            template,
            folder,
            bytes_per_s,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "its range is checked"
)]
fn bytes_per_s(gbps: f64) -> Option<u64> {
    (0.001..=1000.0)
        .contains(&gbps)
        .then_some((gbps * BYTES_OF_A_GIGABIT) as u64)
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(WRONG_USAGE);
    };
    let served = tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(serve(arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("trainspot-localcloud: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let mut settings = Settings::new(
        arguments.template,
        arguments.folder,
        "no-functions-here",
        Image::default(),
    );
    settings.bytes_per_s = arguments.bytes_per_s;
    // The template has no default for it, and no job runs here.
    let image = "local/none@sha256:0".to_owned();
    settings.parameters.insert("ImageUri".to_owned(), image);
    let cloud = LocalCloud::start(settings)
        .await
        .map_err(|error| error.to_string())?;
    for (name, value) in cloud.sdk_environment() {
        println!("export {name}={value}");
    }
    for (name, id) in [
        ("TRAINSPOT_RESULTS_BUCKET", "ResultsBucket"),
        ("TRAINSPOT_DATA_BUCKET", "DataBucket"),
    ] {
        if let Some(bucket) = cloud.physical(id) {
            println!("export {name}={bucket}");
        }
    }
    println!("Ctrl-D ends it.");
    let mut nothing = String::new();
    let ended = tokio::task::spawn_blocking(move || {
        while std::io::stdin().read_line(&mut nothing)? > 0 {}
        Ok::<_, std::io::Error>(())
    });
    ended
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    cloud.stop().await;
    Ok(())
}
