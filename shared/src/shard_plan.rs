//! How many shards a fan-out with `shards = "auto"` has.
//!
//! Pure. What evaluate estimates (`fan_out` in `metrics.json`) is cut into children of about four minutes:
//! shorter ones are mostly start (a host, the image, the dataset again for each), longer ones lose more to a
//! reclaim. All of them go to the CPU queue; why not to a GPU is in `docs/adr/0011-recommend-on-cpus.md`.

use crate::metrics::FanOut;

/// What a child should take; rounding makes it three to five minutes wherever there are two or more.
const CHILD_S: f64 = 240.0;
/// Batch's limit on the size of an array.
pub const SHARDS_MAX: u32 = 10_000;
/// Two virtual CPUs are two threads of one core.
const VCPUS_PER_CORE: f64 = 2.0;
/// One shard for so much of the dataset, where a program estimates nothing.
const BYTES_PER_SHARD: u64 = 32 << 20;

/// A number of shards, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// 1 to 10,000; 1 is submitted as a plain job.
    pub shards: u32,
    /// In one sentence, for the run's history.
    pub because: String,
}

/// Plans the fan-out of `candidate` for children with so many virtual CPUs. `fan_out` is what evaluate
/// estimated; without it, or where it says nothing usable of the candidate, the dataset's size decides.
pub fn plan(
    fan_out: Option<&FanOut>,
    candidate: Option<&str>,
    vcpus: u32,
    dataset_bytes: u64,
) -> ShardPlan {
    let estimated = fan_out.zip(candidate).and_then(|(fan_out, candidate)| {
        let core_s = *fan_out.core_s.get(candidate)?;
        (core_s.is_finite() && core_s >= 0.0).then_some((fan_out, core_s))
    });
    let Some((fan_out, core_s)) = estimated else {
        let shards = dataset_bytes
            .div_ceil(BYTES_PER_SHARD)
            .clamp(1, u64::from(SHARDS_MAX));
        let mib = BYTES_PER_SHARD >> 20;
        return ShardPlan {
            shards: u32::try_from(shards).unwrap_or(SHARDS_MAX),
            because: format!("evaluate estimated no cost: one for each {mib} MiB of the dataset"),
        };
    };
    let at_once = f64::from(vcpus.max(2)) / VCPUS_PER_CORE;
    let wall_s = core_s / at_once;
    // No more shards than users, of whom each is one row.
    let most = u32::try_from(fan_out.users)
        .unwrap_or(SHARDS_MAX)
        .clamp(1, SHARDS_MAX);
    let wanted = (wall_s / CHILD_S).round().clamp(1.0, f64::from(most));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 10,000, by the clamp above"
    )]
    let shards = wanted as u32;
    ShardPlan {
        shards,
        because: format!(
            "about {} each, for {} users by {} items",
            spell(wall_s / wanted),
            fan_out.users,
            fan_out.items
        ),
    }
}

/// Seconds for a person.
fn spell(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn fan_out(users: u64, core_s: f64) -> FanOut {
        FanOut {
            users,
            items: 12_000,
            core_s: BTreeMap::from([("network".to_owned(), core_s)]),
        }
    }

    fn shards(users: u64, core_s: f64, vcpus: u32) -> u32 {
        plan(Some(&fan_out(users, core_s)), Some("network"), vcpus, 0).shards
    }

    #[test]
    fn a_small_job_is_one_shard_and_says_how_long_it_takes() {
        let planned = plan(Some(&fan_out(943, 0.4)), Some("network"), 2, u64::MAX);

        assert_eq!(planned.shards, 1);
        assert_eq!(
            planned.because,
            "about 0 s each, for 943 users by 12000 items"
        );
    }

    #[test]
    fn two_or_more_children_take_three_to_five_minutes() {
        let mut core_s = 1.0;
        while core_s < 2_000_000.0 {
            let n = shards(u64::MAX, core_s, 2);
            let child_s = core_s / f64::from(n);
            assert!(
                n == 1 && child_s < 360.0 || (180.0..=300.0).contains(&child_s),
                "{core_s} s in {n} shards"
            );
            core_s *= 1.013;
        }
    }

    #[test]
    fn larger_children_are_fewer() {
        assert_eq!(shards(1_000_000, 24_000.0, 2), 100);
        assert_eq!(shards(1_000_000, 24_000.0, 8), 25);
        assert_eq!(
            shards(1_000_000, 24_000.0, 1),
            100,
            "a child has a core at least"
        );
    }

    #[test]
    fn there_are_never_more_shards_than_users_or_than_batch_allows() {
        assert_eq!(shards(3, 1e9, 2), 3);
        assert_eq!(shards(u64::MAX, 1e12, 2), SHARDS_MAX);
        assert_eq!(shards(0, 1e9, 2), 1);
    }

    #[test]
    fn what_is_no_estimate_leaves_the_size_to_decide() {
        let mib = 1 << 20;
        let of = |core_s, candidate| plan(Some(&fan_out(1_000, core_s)), candidate, 2, 100 * mib);

        for planned in [
            plan(None, Some("network"), 2, 100 * mib),
            of(f64::NAN, Some("network")),
            of(-1.0, Some("network")),
            of(f64::INFINITY, Some("network")),
            of(1.0, Some("popularity")),
            of(1.0, None),
        ] {
            assert_eq!(planned.shards, 4);
            assert_eq!(
                planned.because,
                "evaluate estimated no cost: one for each 32 MiB of the dataset"
            );
        }
        assert_eq!(plan(None, None, 2, 0).shards, 1);
        assert_eq!(plan(None, None, 2, u64::MAX).shards, SHARDS_MAX);
    }
}
