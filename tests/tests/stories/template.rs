//! What the world of the stories takes over from the template.

use trainspot_edge::memory::{ATTEMPTS_MAX, AttemptEnd, is_retried};

#[test]
fn the_hosts_of_the_stories_retry_by_the_rules_of_the_template() {
    let template = include_str!("../../../template.yaml");
    let rules: Vec<String> = template
        .split("EvaluateOnExit:")
        .skip(1)
        .map(|rest| rest.split("ContainerProperties:").next().unwrap_or_default())
        .map(|rules| rules.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();

    assert!(rules.len() >= 2, "one for each job definition");
    for rules in rules {
        assert_eq!(
            rules,
            "- OnStatusReason: Host EC2* Action: RETRY - OnExitCode: \"75\" Action: RETRY \
             - OnExitCode: \"76\" Action: RETRY - OnReason: DockerTimeoutError* Action: RETRY \
             - OnReason: \"*\" Action: EXIT"
        );
    }
    assert!(template.contains(&format!("Attempts: {ATTEMPTS_MAX}\n")));
    let retried: Vec<i32> = (0..=255).filter(|code| is_retried(&AttemptEnd::exit(*code))).collect();
    assert_eq!(retried, [75, 76]);
    assert!(is_retried(&AttemptEnd::host_lost()) && !is_retried(&AttemptEnd::out_of_memory()));
}
