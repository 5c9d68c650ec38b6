//! Whose credentials `trainspot` goes by: those that `aws` would. And what it says when there are none, or none that
//! AWS takes: one sentence, what to do, and a code that a script can rely on.

mod fake_aws;

use std::collections::BTreeMap;
use std::process::Command;

use fake_aws::{FakeAws, Said};
use test_case::test_case;

const NO_OBJECTS: &str = "<ListBucketResult><Name>results</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
/// What AWS's portal gives to whoever has a session. It ends in 2100.
const ROLE: &str = r#"{"roleCredentials": {"accessKeyId": "AKIDSSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": 4102444800000}}"#;
const SSO: &str = "[profile work]\nsso_session = work\nsso_account_id = 123456789012\nsso_role_name = Trainer\n\
                   [sso-session work]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n";
/// `aws sso login` keeps a session by the SHA-1 of its name, `aws login` one by the SHA-256 of its ARN.
const SSO_CACHE: &str = "sso/cache/e274eeff768c6396088ec6eb091f4bf4d47ab1e0.json";
const LOGIN_CACHE: &str =
    "login/cache/893f13863f68a08133e541260597f1d60f5bf9b326625782990032cbad201e26.json";

/// Somebody at a terminal, with a home.
struct Person {
    home: tempfile::TempDir,
    aws: FakeAws,
}

impl Person {
    fn new(answer: impl Fn(&str) -> Said + Send + 'static) -> Self {
        Self {
            home: tempfile::tempdir().expect("a temporary folder"),
            aws: FakeAws::start(answer),
        }
    }

    /// One to whom AWS answers.
    fn known() -> Self {
        Self::new(|path| {
            let is_portal = path.starts_with("/federation/credentials");
            let said = if is_portal { ROLE } else { NO_OBJECTS };
            (200, said.to_owned())
        })
    }

    /// A file below `~/.aws`.
    fn has(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join(".aws").join(name);
        std::fs::create_dir_all(path.parent().expect("below the home")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
        self
    }

    /// Exit code, and all that it said. A variable without a value is not set.
    fn types(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut all = BTreeMap::from([
            ("AWS_ENDPOINT_URL", self.aws.url.as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            // For the shell that starts a `credential_process`.
            ("PATH", "/usr/bin:/bin"),
        ]);
        all.extend(variables.iter().copied());
        all.retain(|_, value| !value.is_empty());
        let output = Command::new(env!("CARGO_BIN_EXE_trainspot"))
            .env_clear()
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .envs(all)
            .args(arguments)
            .output()
            .expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let said = text(output.stdout) + &text(output.stderr);
        (output.status.code(), said)
    }

    fn asks_for_runs(&self, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        self.types(&["runs", "--bucket", "results"], variables)
    }
}

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDENV"),
    ("AWS_SECRET_ACCESS_KEY", "s"),
];
const WORK: [(&str, &str); 1] = [("AWS_PROFILE", "work")];

#[test]
fn keys_of_the_environment_are_taken() {
    let person = Person::known();

    let (exit, said) = person.asks_for_runs(&KEYS);

    assert_eq!((exit, said.as_str()), (Some(0), "no runs yet\n"));
    assert_eq!(person.aws.keys(), ["AKIDENV"]);
}

#[test]
fn keys_of_a_profile_are_taken_and_its_region_too() {
    let profile = "[profile work]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n\
                   region = eu-west-1\n";
    let person = Person::known().has("config", profile);

    let (exit, said) = person.asks_for_runs(&[WORK[0], ("AWS_REGION", "")]);

    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(person.aws.keys(), ["AKIDPROFILE"]);
}

#[test]
fn a_program_that_prints_credentials_is_run() {
    let printed = r#"{"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "s"}"#;
    let person = Person::known().has("printed.json", printed).has(
        "config",
        "[default]\ncredential_process = cat .aws/printed.json\n",
    );

    let (exit, said) = person.asks_for_runs(&[]);

    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(person.aws.keys(), ["AKIDPROCESS"]);
}

#[test]
fn a_session_of_aws_sso_login_is_taken() {
    let session = r#"{"accessToken": "token", "expiresAt": "2100-01-01T00:00:00Z"}"#;
    let person = Person::known().has("config", SSO).has(SSO_CACHE, session);

    let (exit, said) = person.asks_for_runs(&WORK);

    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(person.aws.keys(), ["AKIDSSO"]);
}

#[test]
fn a_session_of_aws_login_is_taken() {
    let session = r#"{"accessToken": {"accessKeyId": "AKIDLOGIN", "secretAccessKey": "s", "sessionToken": "t",
        "accountId": "123456789012", "expiresAt": "2100-01-01T00:00:00Z"}, "tokenType": "aws_sigv4", "clientId": "c",
        "refreshToken": "r", "dpopKey": "is for refreshing only"}"#;
    let profile = "[default]\nlogin_session = arn:aws:iam::123456789012:user/dev\n";
    let person = Person::known()
        .has("config", profile)
        .has(LOGIN_CACHE, session);

    let (exit, said) = person.asks_for_runs(&[]);

    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(person.aws.keys(), ["AKIDLOGIN"]);
}

/// A sentence, and what to do; nothing was asked of AWS.
fn is_told_without_asking(person: &Person, variables: &[(&str, &str)], exit: i32, sentence: &str) {
    let (code, said) = person.asks_for_runs(variables);

    assert_eq!(code, Some(exit), "{said}");
    let first = said.lines().next().expect("it says something");
    assert!(
        first.starts_with("error: ") && first.contains(sentence),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");
    assert!(said.lines().count() <= 3, "{said}");
    assert_eq!(person.aws.keys(), Vec::<String>::new());
}

#[test]
fn nobody_is_told_how_to_log_in() {
    let sentence =
        "there are no credentials for AWS, neither in the environment nor in the profile `default`";

    is_told_without_asking(&Person::known(), &[], 64, sentence);
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let person = Person::known().has("config", "[profile home]\nregion = us-east-1\n");

    is_told_without_asking(&person, &WORK, 64, "nor in the profile `work`");
}

#[test]
fn a_session_that_is_over_is_told() {
    let session = r#"{"accessToken": "token", "expiresAt": "2020-01-01T00:00:00Z"}"#;
    let person = Person::known().has("config", SSO).has(SSO_CACHE, session);

    is_told_without_asking(&person, &WORK, 77, "the SSO token has expired");
}

#[test]
fn nobody_has_logged_in_to_the_session_yet() {
    let person = Person::known().has("config", SSO);

    is_told_without_asking(&person, &WORK, 77, "failed to load the cached SSO token");
}

#[test]
fn what_the_program_complains_of_is_told() {
    let profile =
        "[default]\ncredential_process = sh -c \"echo the vault is sealed >&2; exit 3\"\n";
    let person = Person::known().has("config", profile);

    is_told_without_asking(&person, &[], 77, "the vault is sealed");
}

#[test]
fn a_configuration_that_leads_nowhere_is_told() {
    let role = "role_arn = arn:aws:iam::123456789012:role/trainer\nsource_profile";
    let profiles = format!("[profile work]\n{role} = other\n[profile other]\n{role} = work\n");
    let person = Person::known().has("config", &profiles);

    is_told_without_asking(&person, &WORK, 64, "the AWS configuration is wrong");
}

#[test]
fn nobody_says_which_region() {
    let nowhere = [KEYS[0], KEYS[1], ("AWS_REGION", "")];
    let person = Person::known();

    is_told_without_asking(&person, &nowhere, 64, "nobody says which region");
    // Without an endpoint of its own, a service is found by its region.
    let (exit, said) = person.types(
        &["start", "nightly", "--function", "f"],
        &[&nowhere[..], &[("AWS_ENDPOINT_URL", "")]].concat(),
    );
    assert_eq!(exit, Some(64), "{said}");
    assert!(said.contains("nobody says which region"), "{said}");
}

#[test_case(403, "InvalidAccessKeyId", "the key is not known"; "unknown")]
#[test_case(400, "ExpiredToken", "the token is expired"; "expired")]
#[test_case(403, "SignatureDoesNotMatch", "the secret is another one"; "wrong")]
fn what_s3_does_not_take_is_told(status: u16, code: &'static str, message: &'static str) {
    let xml = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let person = Person::new(move |_| (status, xml.clone()));

    let (exit, said) = person.asks_for_runs(&KEYS);

    assert_eq!(exit, Some(77), "{said}");
    let sentence = format!("AWS does not take these credentials ({code}): {message}");
    assert!(said.contains(&sentence), "{said}");
    assert!(said.contains("\nhint: log in"), "{said}");
}

#[test]
fn a_clock_that_is_wrong_is_told_as_one() {
    let xml = "<Error><Code>RequestTimeTooSkewed</Code><Message>too far</Message></Error>";
    let person = Person::new(|_| (403, xml.to_owned()));

    let (exit, said) = person.asks_for_runs(&KEYS);

    assert_eq!(exit, Some(77), "{said}");
    assert!(said.contains("hint: set this machine's clock"), "{said}");
}

#[test]
fn what_lambda_and_sqs_do_not_take_is_told_too() {
    let json = r#"{"__type": "com.amazonaws#UnrecognizedClientException", "message": "the token is invalid"}"#;
    let person = Person::new(|_| (400, json.to_owned()));
    let queue = format!("{}/123456789012/letters", person.aws.url);
    let commands: [&[&str]; 2] = [
        &["start", "nightly", "--function", "f", "--bucket", "results"],
        &["redrive", "--queue", &queue],
    ];

    for command in commands {
        let (exit, said) = person.types(command, &KEYS);

        assert_eq!(exit, Some(77), "{said}");
        assert!(
            said.contains("AWS does not take these credentials (UnrecognizedClientException)"),
            "{said}"
        );
    }
}
