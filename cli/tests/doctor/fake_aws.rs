//! An `aws` that a test writes, and a place to run `trainspot doctor` in with it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Due in the same three moments whenever the test runs.
pub(crate) const CRON: &str = "cron(0 2 1 1 ? 2097-2099)";
pub(crate) const SPEC: &str = "name = \"nightly\"\n[data]\nprefix = \"clicks/\"\nwait_for = \"2h\"\n[train]\nprogram = [\"true\"]\ngpus = 1\n[budget]\nmax_usd_per_month = 150.0\n";
pub(crate) const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/trainer@sha256:0000000000000000000000000000000000000000000000000000000000000001";
const DENIED: &str = "An error occurred (AccessDenied) when calling the operation: no";

/// What the `aws` of a test answers to calls that begin so; the first that fits counts.
#[derive(Clone)]
pub(crate) struct Said {
    begins: String,
    stdout: String,
    stderr: String,
    hangs: bool,
}

pub(crate) fn says(begins: &str, answer: &Value) -> Said {
    prints(begins, &answer.to_string())
}

pub(crate) fn prints(begins: &str, stdout: &str) -> Said {
    Said {
        begins: begins.to_owned(),
        stdout: stdout.to_owned(),
        stderr: String::new(),
        hangs: false,
    }
}

pub(crate) fn refuses(begins: &str, stderr: &str) -> Said {
    Said {
        stderr: stderr.to_owned(),
        ..prints(begins, "")
    }
}

pub(crate) fn hangs(begins: &str) -> Said {
    Said {
        hangs: true,
        ..prints(begins, "")
    }
}

pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        let template =
            include_str!("../templates/agreeing.yaml").replace("cron(0 2 * * ? *)", CRON);
        place.write("template.yaml", &template);
        place.write("pipelines/nightly.toml", SPEC);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }

    /// Writes the `aws` of this test. What it was not told it denies.
    pub(crate) fn aws(&self, answers: &[Said]) {
        let folder = self.path("bin");
        let mut script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {0}/asked\n[ -z \"$AWS_PAGER\" ] || exit 9\ncase \"$*\" in\n",
            folder.display()
        );
        for (n, said) in answers.iter().enumerate() {
            self.write(&format!("bin/{n}.out"), &said.stdout);
            self.write(&format!("bin/{n}.err"), &said.stderr);
            let act = if said.hangs {
                "exec /bin/sleep 600".to_owned()
            } else if said.stderr.is_empty() {
                format!("exec /bin/cat {}/{n}.out", folder.display())
            } else {
                format!("/bin/cat {}/{n}.err >&2; exit 254", folder.display())
            };
            script.push_str(&format!("'{}'*) {act};;\n", said.begins));
        }
        script.push_str(&format!("*) echo '{DENIED}' >&2; exit 254;;\nesac\n"));
        self.write("bin/aws", &script);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path("bin/aws"), mode).expect("it can be made a program");
    }

    /// Exit code, stdout and stderr.
    pub(crate) fn doctor(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_trainspot"))
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("TZ", "Asia/Seoul")
            .arg("doctor")
            .args(arguments)
            .output()
            .expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// Every call that was made, in the order of letters.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        let asked = std::fs::read_to_string(self.path("bin/asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}
