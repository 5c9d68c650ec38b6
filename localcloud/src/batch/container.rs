//! A definition's container in a container engine's words (`docker create`, `podman create`): pure, from fields
//! to arguments. No field is passed over in silence: what is not done here can be asked for and is told.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How Docker mounts memory where nobody says otherwise; podman needs to be told.
const TMPFS_OPTIONS: [&str; 4] = ["rw", "noexec", "nosuid", "nodev"];
/// One vCPU in Docker's shares, as ECS counts them.
const SHARES_PER_VCPU: u64 = 1024;

/// What differs from one container to the next, and from engine to engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making<'a> {
    /// The container's name, unlike all others.
    pub(super) name: &'a str,
    /// The folder of the local cloud, so that a person sees whose container it is.
    pub(super) owner: &'a str,
    /// podman puts memory over `/tmp`, `/run` and `/var/tmp` of a read-only root, which Docker does not.
    pub(super) is_podman: bool,
    pub(super) command: &'a [String],
    pub(super) environment: &'a BTreeMap<String, String>,
}

/// The arguments that make the container of a definition, after the engine's own name. An error says which
/// field cannot be done.
pub(super) fn arguments(
    container: &Map<String, Value>,
    making: Making<'_>,
) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = ["create", "--pull", "never", "--name", making.name]
        .map(str::to_owned)
        .into();
    let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
    add("--label", format!("trainspot.local={}", making.owner));
    // The endpoints are on this machine's loopback.
    add("--network", "host".to_owned());

    if is_true(container.get("readonlyRootFilesystem")) {
        all.push("--read-only".to_owned());
        if making.is_podman {
            all.push("--read-only-tmpfs=false".to_owned());
        }
    }
    if is_true(container.get("privileged")) {
        all.push("--privileged".to_owned());
    }
    let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
    if let Some(user) = container.get("user").and_then(as_text) {
        add("--user", user);
    }
    for limit in list(container, "ulimits") {
        let part = |name: &str| limit.get(name).and_then(as_text).unwrap_or_default();
        add(
            "--ulimit",
            format!(
                "{}={}:{}",
                part("name"),
                part("softLimit"),
                part("hardLimit")
            ),
        );
    }
    for mount in list(container, "mountPoints") {
        add("--mount", mounted(container, mount)?);
    }
    let memory_mib = requirement(container, "MEMORY", "memory");
    if let Some(mib) = memory_mib {
        add("--memory", format!("{mib}m"));
    }
    if let Some(vcpus) = requirement(container, "VCPU", "vcpus") {
        add("--cpu-shares", (vcpus * SHARES_PER_VCPU).to_string());
    }
    linux(container, memory_mib, &mut all);
    for (name, value) in making.environment {
        all.extend(["--env".to_owned(), format!("{name}={value}")]);
    }
    all.push(image(container)?);
    all.extend(making.command.iter().cloned());
    Ok(all)
}

/// The engine's id of the definition's image: what stands after `@sha256:`, as no registry is asked.
pub(super) fn image(container: &Map<String, Value>) -> Result<String, String> {
    let uri = container.get("image").and_then(as_text).unwrap_or_default();
    uri.split_once("@sha256:")
        .map(|(_, id)| id.to_owned())
        .ok_or_else(|| format!("the image must be named by digest here, received: `{uri}`"))
}

/// The parameters of `linuxParameters`.
fn linux(container: &Map<String, Value>, memory_mib: Option<u64>, all: &mut Vec<String>) {
    let Some(Value::Object(linux)) = container.get("linuxParameters") else {
        return;
    };
    if is_true(linux.get("initProcessEnabled")) {
        all.push("--init".to_owned());
    }
    let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
    let number = |name: &str| number(linux.get(name)?);
    if let Some(mib) = number("sharedMemorySize") {
        add("--shm-size", format!("{mib}m"));
    }
    // Batch's limit of swap is on top of memory, Docker's is of both.
    if let (Some(swap), Some(memory)) = (number("maxSwap"), memory_mib) {
        add("--memory-swap", format!("{}m", swap + memory));
    }
    if let Some(swappiness) = number("swappiness") {
        add("--memory-swappiness", swappiness.to_string());
    }
    for tmpfs in list(linux, "tmpfs") {
        let path = tmpfs.get("containerPath").and_then(as_text);
        let said: Vec<String> = list_of(tmpfs.get("mountOptions"))
            .filter_map(as_text)
            .collect();
        let is_overruled = |default: &str| {
            let opposite = match default {
                "rw" => "ro",
                _ => default.trim_start_matches("no"),
            };
            said.iter()
                .any(|option| option == opposite || option == default)
        };
        let mut options: Vec<String> = TMPFS_OPTIONS
            .into_iter()
            .filter(|default| !is_overruled(default))
            .map(str::to_owned)
            .collect();
        options.extend(
            tmpfs
                .get("size")
                .and_then(as_text)
                .map(|mib| format!("size={mib}m")),
        );
        options.extend(said);
        add(
            "--tmpfs",
            format!("{}:{}", path.unwrap_or_default(), options.join(",")),
        );
    }
    for device in list(linux, "devices") {
        let part = |name: &str| device.get(name).and_then(as_text);
        let host = part("hostPath").unwrap_or_default();
        let inside = part("containerPath").unwrap_or_else(|| host.clone());
        let may: String = list_of(device.get("permissions"))
            .filter_map(Value::as_str)
            .filter_map(|word| word.chars().next())
            .map(|letter| {
                if letter == 'M' || letter == 'm' {
                    'm'
                } else {
                    letter.to_ascii_lowercase()
                }
            })
            .collect();
        let may = if may.is_empty() {
            "rwm".to_owned()
        } else {
            may
        };
        add("--device", format!("{host}:{inside}:{may}"));
    }
}

/// A mount point: a folder of the host where the volume names one, else a fresh volume, to which the engine
/// copies what the image has there, with its owner.
fn mounted(container: &Map<String, Value>, mount: &Value) -> Result<String, String> {
    let name = mount.get("sourceVolume").and_then(as_text);
    let path = mount
        .get("containerPath")
        .and_then(as_text)
        .ok_or("a mount point has no containerPath")?;
    let is_same = |entry: &&Value| entry.get("name").and_then(as_text) == name;
    let volume = list(container, "volumes")
        .find(is_same)
        .ok_or_else(|| format!("the mount point {path} names no volume of the definition"))?;
    let is_shared = list(container, "mountPoints")
        .filter(|other| other.get("sourceVolume").and_then(as_text) == name)
        .count()
        > 1;
    let from = volume.pointer("/host/sourcePath").and_then(as_text);
    let mut text = match from {
        Some(from) => format!("type=bind,source={from},destination={path}"),
        None if volume.get("efsVolumeConfiguration").is_some() => {
            return Err(format!("there is no EFS here, which {path} asks for"));
        }
        None if is_shared => {
            return Err(format!(
                "the volume of {path} is mounted twice, which is not done here"
            ));
        }
        None => format!("type=volume,destination={path}"),
    };
    if is_true(mount.get("readOnly")) {
        text.push_str(",readonly");
    }
    Ok(text)
}

/// What of a definition is done otherwise here, or not at all, as sentences for a person.
pub(crate) fn not_done(container: &Map<String, Value>) -> Vec<String> {
    let mut told = vec![
        "network: the machine's own, so that the local endpoints are reached; Batch gives a bridge"
            .to_owned(),
    ];
    for (field, value) in container {
        let is_empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        if is_empty {
            continue;
        }
        let how = match field.as_str() {
            "command"
            | "environment"
            | "image"
            | "linuxParameters"
            | "memory"
            | "mountPoints"
            | "privileged"
            | "readonlyRootFilesystem"
            | "ulimits"
            | "user"
            | "vcpus"
            | "volumes" => continue,
            "resourceRequirements" => {
                if requirement(container, "GPU", "").is_some() {
                    told.push("GPU: none is given to a container here".to_owned());
                }
                continue;
            }
            "jobRoleArn" | "executionRoleArn" => "made-up keys that nobody checks",
            "logConfiguration" => "a file under logs/ of the local cloud's folder",
            _ => "not done here",
        };
        told.push(format!("{field}: {how}"));
    }
    for field in container
        .get("linuxParameters")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
    {
        if ![
            "devices",
            "initProcessEnabled",
            "maxSwap",
            "sharedMemorySize",
            "swappiness",
            "tmpfs",
        ]
        .contains(&field.as_str())
        {
            told.push(format!("linuxParameters.{field}: not done here"));
        }
    }
    told
}

/// A requirement, or the older field that says the same.
fn requirement(container: &Map<String, Value>, kind: &str, older: &str) -> Option<u64> {
    list(container, "resourceRequirements")
        .find(|entry| entry.get("type").and_then(Value::as_str) == Some(kind))
        .and_then(|entry| number(entry.get("value")?))
        .or_else(|| number(container.get(older)?))
}

fn list<'a>(object: &'a Map<String, Value>, field: &str) -> impl Iterator<Item = &'a Value> {
    list_of(object.get(field))
}

fn list_of(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(as_text).as_deref() == Some("true")
}

fn number(value: &Value) -> Option<u64> {
    as_text(value)?.parse().ok()
}

/// The template's numbers and truths may be texts, where they came as parameters.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
