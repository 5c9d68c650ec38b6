//! How long a host of the template leaves a container between SIGTERM and SIGKILL: what its launch template
//! writes into the configuration of ECS's agent, and ECS's own default where it writes nothing.

use std::time::Duration;

use serde_json::Value;

use super::intrinsics::{Scope, as_text};
use crate::errors::StartError;

const VARIABLE: &str = "ECS_CONTAINER_STOP_TIMEOUT";
const DEFAULT: Duration = Duration::from_secs(30);

/// Of the hosts of a compute environment, by its `ComputeResources`.
pub(super) fn stop_timeout(scope: &Scope, resources: &Value) -> Result<Duration, StartError> {
    let named = resources.get("LaunchTemplate");
    let Some(named) = named.and_then(|named| {
        let name = named.get("LaunchTemplateId");
        name.or_else(|| named.get("LaunchTemplateName"))
            .and_then(as_text)
    }) else {
        return Ok(DEFAULT);
    };
    for (logical_id, kind, body) in scope.resources()? {
        let is_it = kind == "AWS::EC2::LaunchTemplate"
            && (scope.physical_id(logical_id) == Ok(named.clone())
                || scope.name(logical_id) == Ok(named.clone()));
        if !is_it {
            continue;
        }
        let data = scope.property(logical_id, body, "LaunchTemplateData")?;
        let user_data = data.pointer("/UserData/Fn::Base64").and_then(Value::as_str);
        return in_user_data(user_data.unwrap_or_default()).map_err(|written| {
            StartError::Template {
                place: format!("{logical_id}.LaunchTemplateData.UserData"),
                why: format!("{VARIABLE} must be a duration such as 110s, received: {written}"),
            }
        });
    }
    Ok(DEFAULT)
}

/// The last line that sets it counts, as for the shell; `Err` is what cannot be read.
fn in_user_data(user_data: &str) -> Result<Duration, String> {
    let mut set = user_data.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        (name.trim_start_matches("export ") == VARIABLE).then(|| value.trim_matches(['"', '\'']))
    });
    set.next_back().map_or(Ok(DEFAULT), |value| {
        go_duration(value).ok_or(value.to_owned())
    })
}

/// `110s`, `1m50s`, `1.5m`: a duration as Go's programs read it.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit_on) = rest.split_at(number_ends);
        let unit_ends = unit_on
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit_on.len());
        let (unit, after) = unit_on.split_at(unit_ends);
        let seconds_of_unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * seconds_of_unit;
        rest = after;
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_configuration_is_read() {
        let with = |line: &str| {
            in_user_data(&format!(
                "#!/bin/bash\ncat >> /etc/ecs/ecs.config <<'END'\n{line}\nEND\n"
            ))
        };
        let seconds = |s| Ok(Duration::from_secs(s));

        assert_eq!(with("ECS_CONTAINER_STOP_TIMEOUT=110s"), seconds(110));
        assert_eq!(with("  ECS_CONTAINER_STOP_TIMEOUT=1m50s"), seconds(110));
        assert_eq!(with("ECS_CONTAINER_STOP_TIMEOUT=\"1.5m\""), seconds(90));
        assert_eq!(
            with("ECS_CONTAINER_STOP_TIMEOUT=5s\nECS_CONTAINER_STOP_TIMEOUT=6s"),
            seconds(6)
        );
        assert_eq!(with("ECS_ENABLE_SPOT_INSTANCE_DRAINING=true"), seconds(30));
        for wrong in ["soon", "110", "", "5 s"] {
            let told = with(&format!("ECS_CONTAINER_STOP_TIMEOUT={wrong}"));
            assert_eq!(told, Err(wrong.to_owned()));
        }
    }
}
