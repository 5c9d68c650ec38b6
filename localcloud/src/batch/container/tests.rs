use serde_json::json;

use super::*;
use crate::template::Stack;

const ID: &str = "b8cfd2e0f7a54d1e9d0c6f0f6f1b2a3c4d5e6f708192a3b4c5d6e7f8091a2b3c";

fn definition(fields: Value) -> Map<String, Value> {
    let mut all = Map::from_iter([(
        "image".to_owned(),
        json!(format!("local/trainer@sha256:{ID}")),
    )]);
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    all
}

fn made(container: &Map<String, Value>, is_podman: bool) -> Result<String, String> {
    let command = ["python".to_owned(), "-m".to_owned(), "trainer".to_owned()];
    let environment = BTreeMap::from([("TRAINSPOT_JOB".to_owned(), "a b\nc".to_owned())]);
    let making = Making {
        name: "trainspot-i-1",
        owner: "/tmp/cloud",
        is_podman,
        command: &command,
        environment: &environment,
    };
    arguments(container, making).map(|arguments| arguments.join(" "))
}

/// What stands between the name and label on one side and the environment on the other.
fn options(fields: Value) -> String {
    let line = made(&definition(fields), false).expect("every field can be done");
    let (_, rest) = line.split_once("--network host").expect("always there");
    let (options, _) = rest.split_once("--env").expect("always there");
    options.trim().to_owned()
}

#[test]
fn a_container_has_name_label_environment_image_and_command() {
    let line = made(&definition(json!({})), false);

    assert_eq!(
        line.as_deref(),
        Ok(format!(
            "create --pull never --name trainspot-i-1 --label trainspot.local=/tmp/cloud --network host \
             --env TRAINSPOT_JOB=a b\nc {ID} python -m trainer"
        )
        .as_str())
    );
}

#[test]
fn the_templates_definition_becomes_its_container() {
    let fields = json!({
        "readonlyRootFilesystem": "true",
        "volumes": [{"name": "working-folder", "host": {}}],
        "mountPoints": [
            {"sourceVolume": "working-folder", "containerPath": "/var/lib/trainspot", "readOnly": false},
        ],
        "linuxParameters": {
            "initProcessEnabled": true,
            "tmpfs": [{"containerPath": "/tmp", "size": 512}],
        },
        "resourceRequirements": [
            {"type": "VCPU", "value": "4"},
            {"type": "MEMORY", "value": "15360"},
            {"type": "GPU", "value": "1"},
        ],
    });

    assert_eq!(
        options(fields),
        "--read-only --mount type=volume,destination=/var/lib/trainspot --memory 15360m --cpu-shares 4096 \
         --init --tmpfs /tmp:rw,noexec,nosuid,nodev,size=512m"
    );
}

#[test_case::test_case(json!({"user": "1000:1000"}), "--user 1000:1000"; "user")]
#[test_case::test_case(json!({"privileged": true}), "--privileged"; "privileged")]
#[test_case::test_case(json!({"privileged": false, "readonlyRootFilesystem": false}), ""; "what is off")]
#[test_case::test_case(
    json!({"ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}]}),
    "--ulimit nofile=1024:4096"; "ulimit"
)]
#[test_case::test_case(json!({"memory": 512, "vcpus": 2}), "--memory 512m --cpu-shares 2048"; "older fields")]
#[test_case::test_case(
    json!({"linuxParameters": {"sharedMemorySize": 64, "maxSwap": 100, "swappiness": 10}, "memory": 512}),
    "--memory 512m --shm-size 64m --memory-swap 612m --memory-swappiness 10"; "shared memory and swap"
)]
#[test_case::test_case(
    json!({"linuxParameters": {"tmpfs": [{"containerPath": "/run", "size": 1, "mountOptions": ["exec", "mode=755"]}]}}),
    "--tmpfs /run:rw,nosuid,nodev,size=1m,exec,mode=755"; "options of memory overrule Docker's own"
)]
#[test_case::test_case(
    json!({"linuxParameters": {"devices": [{"hostPath": "/dev/fuse", "permissions": ["READ", "WRITE", "MKNOD"]}]}}),
    "--device /dev/fuse:/dev/fuse:rwm"; "device"
)]
#[test_case::test_case(
    json!({
        "volumes": [{"name": "data", "host": {"sourcePath": "/srv/data"}}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": true}],
    }),
    "--mount type=bind,source=/srv/data,destination=/data,readonly"; "folder of the host"
)]
fn a_field_becomes(fields: Value, expected: &str) {
    let options = options(fields);

    assert_eq!(options, expected);
}

#[test]
fn podman_puts_no_memory_of_its_own_over_a_read_only_root() {
    let container = definition(json!({"readonlyRootFilesystem": true}));

    let [docker, podman] =
        [false, true].map(|is_podman| made(&container, is_podman).expect("it can be done"));

    assert!(!docker.contains("tmpfs"), "{docker}");
    assert!(
        podman.contains("--read-only --read-only-tmpfs=false"),
        "{podman}"
    );
}

#[test_case::test_case(json!({"image": "trainer:latest"}), "by digest"; "a tag")]
#[test_case::test_case(json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]}), "names no volume"; "no volume")]
#[test_case::test_case(
    json!({
        "volumes": [{"name": "x", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}],
        "mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}],
    }),
    "EFS"; "a file system in the network"
)]
#[test_case::test_case(
    json!({
        "volumes": [{"name": "x", "host": {}}],
        "mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}, {"sourceVolume": "x", "containerPath": "/y"}],
    }),
    "mounted twice"; "one volume at two places"
)]
fn what_cannot_be_done_is_refused(fields: Value, why: &str) {
    let refused = made(&definition(fields), false).expect_err("it cannot be done");

    assert!(refused.contains(why), "{refused}");
}

#[test]
fn what_is_not_done_is_told_and_nothing_else() {
    let container = definition(json!({
        "command": ["true"],
        "secrets": [{"name": "KEY", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:key"}],
        "ulimits": [],
        "jobRoleArn": "arn:aws:iam::123456789012:role/work",
        "logConfiguration": {"logDriver": "awslogs"},
        "linuxParameters": {"initProcessEnabled": true, "maxSwap": 1, "brandNew": true},
        "resourceRequirements": [{"type": "GPU", "value": "1"}],
        "somethingNew": 1,
    }));

    let told = not_done(&container);

    let fields: Vec<_> = told
        .iter()
        .filter_map(|sentence| sentence.split(':').next())
        .collect();
    assert_eq!(
        fields,
        [
            "network",
            "jobRoleArn",
            "logConfiguration",
            "GPU",
            "secrets",
            "somethingNew",
            "linuxParameters.brandNew",
        ]
    );
}

#[test]
fn every_definition_of_the_template_can_be_made() {
    let template = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let parameters =
        BTreeMap::from([("ImageUri".to_owned(), format!("local/trainer@sha256:{ID}"))]);
    let stack = Stack::load(&template, &parameters).expect("the template is read");

    let lines: Vec<_> = stack
        .definitions
        .iter()
        .map(|definition| made(&definition.container, true).expect("it can be made"))
        .collect();

    assert_eq!(lines.len(), 2);
    let shared = lines
        .iter()
        .filter(|line| line.contains("--shm-size 2048m"));
    assert_eq!(shared.count(), 1, "the training's: {lines:?}");
    for line in lines {
        for option in [
            "--read-only --read-only-tmpfs=false",
            "--user 1000:1000",
            "--init",
            "--tmpfs /tmp:rw,noexec,nosuid,nodev,size=512m",
            "--mount type=volume,destination=/var/lib/trainspot",
            "--memory ",
            "--cpu-shares ",
        ] {
            assert!(line.contains(option), "{option} is not in {line}");
        }
    }
}
