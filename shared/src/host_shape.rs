//! What hosts have and jobs want, and which number of a job no host of its queue can give.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

static BUILT_IN: LazyLock<BTreeMap<String, HostShape>> = LazyLock::new(|| {
    toml::from_str(include_str!("../hosts/shapes.toml"))
        .expect("the built-in list is parsed by a test")
});

/// Of a host's memory so much is left for jobs: its system and the ECS agent take about a GiB of 16.
const USABLE_MEMORY: (u32, u32) = (15, 16);
const MIB_PER_GIB: u32 = 1024;

/// What an instance type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostShape {
    /// Whole GPUs.
    pub gpus: u32,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// GiB, as AWS lists it.
    pub memory_gib: u32,
}

impl HostShape {
    /// Of a listed type.
    pub fn of(instance_type: &str) -> Option<Self> {
        BUILT_IN.get(instance_type).copied()
    }

    fn usable_mib(self) -> u32 {
        let (left, of) = USABLE_MEMORY;
        (self.memory_gib.saturating_mul(MIB_PER_GIB) / of).saturating_mul(left)
    }
}

/// What a job asks for; what it does not say is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Whole GPUs.
    pub gpus: Option<u32>,
    /// Virtual CPUs.
    pub vcpus: Option<u32>,
    /// MiB.
    pub memory_mib: Option<u32>,
}

impl fmt::Display for Wants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = [
            self.gpus.map(|n| format!("{n} GPU")),
            self.vcpus.map(|n| format!("{n} vCPU")),
            self.memory_mib.map(|n| format!("{n} MiB of memory")),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        if said.is_empty() {
            f.write_str("what its definition says")
        } else {
            f.write_str(&said.join(", "))
        }
    }
}

impl Wants {
    /// Which of the job's numbers no host of these types can give, in a sentence; none if the types are
    /// not known or each number alone fits some of them.
    pub fn too_much_for<'t>(&self, types: impl IntoIterator<Item = &'t str>) -> Option<String> {
        let hosts: Vec<(&str, HostShape)> = types
            .into_iter()
            .filter_map(|name| Some((name, HostShape::of(name)?)))
            .collect();
        let largest = |of: fn(HostShape) -> u32| {
            let most = hosts.iter().rev().max_by_key(|(_, shape)| of(*shape));
            most.map(|(name, shape)| (*name, of(*shape)))
        };
        let numbers = [
            ("GPU", self.gpus, largest(|host| host.gpus)),
            ("vCPU", self.vcpus, largest(|host| host.vcpus)),
            (
                "MiB of memory",
                self.memory_mib,
                largest(HostShape::usable_mib),
            ),
        ];
        let wrong: Vec<String> = numbers
            .into_iter()
            .filter_map(|(unit, wanted, largest)| {
                let (wanted, (name, has)) = wanted.zip(largest)?;
                let is_too_much = wanted > has;
                is_too_much.then(|| {
                    format!("it wants {wanted} {unit}, and the largest, {name}, has {has} to give")
                })
            })
            .collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [&str; 3] = ["g4dn.xlarge", "g5.4xlarge", "g9.unknown"];

    #[test]
    fn the_built_in_list_is_a_list() {
        let shape = HostShape::of("g4dn.12xlarge").expect("listed");

        assert_eq!((shape.gpus, shape.vcpus, shape.memory_gib), (4, 48, 192));
        assert_eq!(HostShape::of("g9.unknown"), None);
    }

    #[test]
    fn the_number_that_is_too_large_is_named_with_the_largest_there_is() {
        let wants = Wants {
            gpus: Some(4),
            vcpus: Some(16),
            memory_mib: Some(65_536),
        };

        let told = wants.too_much_for(TYPES).expect("4 GPUs are too many");

        assert_eq!(
            told,
            "it wants 4 GPU, and the largest, g4dn.xlarge, has 1 to give; \
             it wants 65536 MiB of memory, and the largest, g5.4xlarge, has 61440 to give"
        );
    }

    #[test]
    fn what_fits_and_what_is_not_known_is_not_called_wrong() {
        let fits = Wants {
            gpus: Some(1),
            vcpus: Some(16),
            memory_mib: Some(61_440),
        };

        assert_eq!(fits.too_much_for(TYPES), None);
        assert_eq!(fits.too_much_for(["g5"]), None);
        assert_eq!(Wants::default().too_much_for(TYPES), None);
    }
}
