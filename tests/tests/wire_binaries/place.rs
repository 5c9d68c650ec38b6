//! What a week is played with: binaries, a Python, the template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trainspot_edge::world::TEST_CLOCK;
use trainspot_localcloud::{Chaos, Image, Settings};

/// A function's time-out; leases are three times that, and none of it is waited for.
const FUNCTION_TIMEOUT_S: u32 = 30;

/// Shares in per cent; the waits are those of a week in which idle time is skipped.
const CHAOS: &str = "
[events]
drop = 8
duplicate = 20
delay = 12
delay_max_s = 3
reorder = 12
[functions]
kill = 15
kill_within_calls = 14
[calls]
cut = 1.5
lose_answer = 2
throttle = 1
late = 1
late_max_s = 3
[hosts]
reclaim = 35
lose = 15
within_s = 1.5
notice_s = 2
[capacity]
withhold = 15
withhold_max_s = 3
";

/// Where everything lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: PathBuf,
    python: PathBuf,
    binaries: PathBuf,
}

impl Place {
    /// `Err`: what is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().map_err(|e| e.to_string())?;
        let test = std::env::current_exe().map_err(|e| e.to_string())?;
        // target/<profile>/deps/<this test>
        let binaries = test.ancestors().nth(2).ok_or("no folder of binaries")?;
        let place = Self {
            python: root.join(".venv/bin/python"),
            binaries: binaries.to_owned(),
            root,
        };
        let names = [
            "trainspot",
            "trainspot-agent",
            "submit-training",
            "fan-out",
            "handle-failure",
            "supervise-runs",
        ];
        let needed = names.map(|name| place.binaries.join(name));
        for path in needed.iter().chain([&place.python]) {
            if !path.exists() {
                return Err(format!("`{}` is not there", path.display()));
            }
        }
        Ok(place)
    }

    /// A built program.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// Where calls are written down: beside the profiles' folders of binaries.
    pub(crate) fn recorded_calls(&self) -> PathBuf {
        let target = self.binaries.parent().unwrap_or(&self.binaries);
        target.join("recorded-calls")
    }

    /// A stage's `program` in a spec: TOML.
    pub(crate) fn program(&self) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire_binaries/program.py");
        format!(
            "[{:?}, \"-S\", \"-E\", {:?}]",
            self.python.display().to_string(),
            program.display().to_string()
        )
    }

    /// A cloud in `folder`, whose functions and jobs go by the clock in `clock`.
    pub(crate) fn settings(&self, folder: &Path, clock: &Path, seed: u64) -> Settings {
        let image = Image {
            entrypoint: vec![
                self.binaries.join("trainspot-agent").display().to_string(),
                "--".to_owned(),
            ],
            env: BTreeMap::from([
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("HOME".to_owned(), "/tmp".to_owned()),
                ("TRAINSPOT_CONTRACT".to_owned(), "1".to_owned()),
                ("TRAINSPOT_IMDS_POLL_S".to_owned(), "0.2".to_owned()),
                (TEST_CLOCK.to_owned(), clock.display().to_string()),
            ]),
            workdir: PathBuf::new(),
        };
        let template = folder.join("template.yaml");
        std::fs::write(&template, self.template(clock)).expect("the test's own folder is writable");
        let mut settings = Settings::new(template, folder.join("cloud"), &self.binaries, image);
        let parameters = [
            (
                "ImageUri",
                format!(
                    "123456789012.dkr.ecr.us-east-1.amazonaws.com/t@sha256:{}",
                    "0".repeat(64)
                ),
            ),
            ("FunctionTimeoutSeconds", FUNCTION_TIMEOUT_S.to_string()),
        ];
        settings.parameters = parameters
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        settings.seed = seed;
        settings.chaos = Some(Chaos::parse(CHAOS, seed).expect("the chaos is a chaos"));
        settings.max_running_jobs = 4;
        settings.boot_delay = std::time::Duration::from_millis(50);
        settings.async_retry_scale = 0.01;
        settings.job_time_scale = 0.2;
        settings
    }

    /// The product's own, with one variable more for every function.
    fn template(&self, clock: &Path) -> String {
        let text = std::fs::read_to_string(self.root.join("template.yaml"));
        let text = text.expect("the repository has a template");
        let last = "        TRAINSPOT_FUNCTION_TIMEOUT_S: !Ref FunctionTimeoutSeconds\n";
        assert_eq!(text.matches(last).count(), 1, "every function has it");
        let with_clock = format!("{last}        {TEST_CLOCK}: {}\n", clock.display());
        text.replace(last, &with_clock)
    }
}
