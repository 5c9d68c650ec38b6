use proptest::prelude::*;

use super::*;

fn masked(line: &str) -> String {
    Secrets::default().masked(line)
}

/// 40 characters of base 64, as AWS makes them.
fn secret_key() -> String {
    format!("abcdEFGH1234{}", "ij/+KL56".repeat(4))[..40].to_owned()
}

#[test]
fn secrets_are_masked_and_the_rest_stays() {
    let cases = [
        ("password=hunter2 user=eve", "password=**** user=eve"),
        ("DB_PASSWORD: 'hun!ter2',x", "DB_PASSWORD: '****',x"),
        (
            r#"{"hf_token": "hf_abc.def", "n": 3}"#,
            r#"{"hf_token": "****", "n": 3}"#,
        ),
        ("password=hun@ter:2 x", "password=**** x"),
        ("password=\"two words\" x", "password=\"****\" x"),
        (r#"password="a\"b" x"#, r#"password="****" x"#),
        ("password=hun,ter)2 x", "password=**** x"),
        ("secret => 'abc' x", "secret => '****' x"),
        (
            "config['api_key'] = 'abc' x",
            "config['api_key'] = '****' x",
        ),
        ("Pwd=abc;Server=db", "Pwd=****;Server=db"),
        ("?a=1&access_token=abc&b=2", "?a=1&access_token=****&b=2"),
        ("token=abc-def", "token=****"),
        ("run --token abc --epochs 3", "run --token **** --epochs 3"),
        ("run --api-key=abc --x", "run --api-key=**** --x"),
        ("run -password abc x", "run -password **** x"),
        ("run --token --verbose", "run --token --verbose"),
        (
            "Authorization: Bearer eyJ0.eyJ1.sig",
            "Authorization: Bearer ****",
        ),
        (
            "curl -H 'Authorization: Bearer abc' http://host",
            "curl -H 'Authorization: Bearer ****' http://host",
        ),
        (
            "authorization: Basic ZXZlOg== x",
            "authorization: Basic **** x",
        ),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=y",
            "Authorization: ****",
        ),
        ("sent bearer abc123 there", "sent bearer **** there"),
        (
            "X-Amz-Signature=abc&X-Amz-Date=3",
            "X-Amz-Signature=****&X-Amz-Date=3",
        ),
        ("Set-Cookie: id=abc; Path=/", "Set-Cookie: ****; Path=/"),
        (
            "clone https://eve:pa55@host/x",
            "clone https://eve:****@host/x",
        ),
        (
            "clone https://eve:p:5=?@host/x",
            "clone https://eve:****@host/x",
        ),
        ("postgres://eve:p/a55@host/x", "postgres://eve:****@host/x"),
        ("at https://host:8080/a@b", "at https://host:8080/a@b"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("https://0123456789abcdef@sentry/1", "https://****@sentry/1"),
        (
            "epoch 3 loss=0.25 tokens=1500 step 40/192",
            "epoch 3 loss=0.25 tokens=1500 step 40/192",
        ),
        (
            "pip install scikit-learn sk-learn",
            "pip install scikit-learn sk-learn",
        ),
        (
            "sha1 0123456789abcdef0123456789abcdef01234567",
            "sha1 0123456789abcdef0123456789abcdef01234567",
        ),
        ("a key and a token", "a key and a token"),
        ("bearer", "bearer"),
        ("password=", "password="),
    ];
    for (line, expected) in cases {
        assert_eq!(masked(line), expected);
    }
}

#[test]
fn what_looks_like_a_secret_is_masked_wherever_it_stands() {
    let secret_key = secret_key();
    let letters = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7";
    let secrets = [
        format!("AKIA{}", "Q".repeat(16)),
        format!("ASIA{}", "7".repeat(16)),
        secret_key,
        format!("ghp_{letters}"),
        format!("github_pat_11{letters}"),
        format!("glpat-{letters}"),
        format!("xoxb-123456789012-{letters}"),
        format!("hf_{letters}"),
        format!("sk-proj-{letters}"),
        format!("eyJ{letters}.eyJ{letters}.{letters}-_"),
        format!("IQoJb3JpZ2lu{letters}/+=="),
        "-----BEGIN PRIVATE KEY-----\\nMIIE==\\n-----END PRIVATE KEY-----".to_owned(),
    ];
    for secret in secrets {
        for (before, after) in [("", ""), ("found ", " here"), ("(", ")"), ("x=\"", "\"")] {
            assert_eq!(
                masked(&format!("{before}{secret}{after}")),
                format!("{before}{MASK}{after}")
            );
        }
    }
}

#[test]
fn a_certificate_is_no_secret_and_a_key_without_an_end_is_hidden_to_the_end() {
    let certificate = "-----BEGIN CERTIFICATE-----MIIE-----END CERTIFICATE-----";

    assert_eq!(masked(certificate), certificate);
    assert_eq!(
        masked(&format!("{certificate} -----BEGIN EC PRIVATE KEY-----MIIE")),
        format!("{certificate} {MASK}")
    );
}

#[test]
fn values_of_variables_whose_names_say_secret_are_masked_anywhere() {
    let variables = [
        ("DB_PASSWORD", "correct horse"),
        ("MY_KEY", "line one\nline two"),
        ("HF_TOKEN", "short"),
        ("HOME", "/home/eve"),
        ("TOKENIZERS_PARALLELISM", "disabled"),
        ("MAX_TOKENS", "100000"),
    ];
    let pairs = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secrets = Secrets::of_variables(pairs.into_iter());

    assert_eq!(
        secrets.masked("<correct horse> line two, line one: /home/eve disabled 100000 short"),
        "<****> ****, ****: /home/eve disabled 100000 short"
    );
    assert_eq!(format!("{secrets:?}"), "Secrets(3)");
}

#[test]
fn the_beginning_of_a_line_does_not_end_with_half_a_secret() {
    let pairs = [("DB_PASSWORD".to_owned(), "correct horse".to_owned())];
    let secrets = Secrets::of_variables(pairs.into_iter());

    assert_eq!(secrets.masked_beginning("a b ghp_ab", 100), "a b ");
    assert_eq!(secrets.masked_beginning("a correct ", 100), "a ****");
    assert_eq!(secrets.masked_beginning("xxxxxxxx", 8), "xxxxxxxx");
}

proptest! {
    #[test]
    fn any_line_survives(line in "\\PC{0,80}") {
        let once = masked(&line);

        prop_assert!(once.len() <= line.len() + 4 * line.chars().count());
        prop_assert!(Secrets::default().masked_beginning(&line, 8).len() <= once.len() + 4);
    }

    #[test]
    fn no_password_survives(secret in "[a-zA-Z0-9]{6,20}", before in "[a-z ]{0,10}") {
        let line = format!("{before} password={secret}");

        prop_assert!(masked(&line).ends_with("password=****"));
    }
}
