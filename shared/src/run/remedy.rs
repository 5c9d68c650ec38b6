//! From the class of a failure to what is done about it: one table.

use crate::failure::Class;
use crate::identity::Market;

/// A stage is submitted at most this often, whatever the classes say: a bound on what a bad week costs.
const SUBMISSIONS_MAX: usize = 8;

/// What the table goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// What happened.
    pub class: Class,
    /// How many submissions of the stage ended in this class, this one included.
    pub times: usize,
    /// How many submissions the stage had.
    pub submissions: usize,
    /// Where this one ran.
    pub market: Market,
    /// Whether the stage has another market to go to.
    pub can_move: bool,
    /// Its memory.
    pub memory_mib: u32,
    /// The pipeline's cap.
    pub max_memory_mib: u32,
    /// A checkpoint is published.
    pub has_checkpoint: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Submit again, in the same market, from the newest checkpoint.
    Again,
    /// Submit again on-demand.
    MoveToOnDemand,
    /// Submit again with this much memory.
    WithMemory {
        /// MiB.
        memory_mib: u32,
    },
    /// Give up and tell.
    Stop,
    /// A person ended it: give up as cancelled.
    Cancel,
}

/// The table.
pub fn remedy(situation: &Situation) -> Remedy {
    use Class::{
        BadCommand, BadConfiguration, BadData, Bug, ContainerRefused, Derived, EndedByPerson,
        EndedByUs, HandedOver, HostFault, HostLost, ImageRefused, ImageTransient, Killed,
        Misconfigured, NoCapacity, NoOutput, NotOwner, OutOfMemory, PermissionDenied, Preempted,
        Program, QualityFloor, Reclaimed, ShardsFailed, Stalled, StoreUnreachable, Timeout,
        Unknown,
    };
    let up_to = |limit: usize| {
        if situation.times <= limit {
            Remedy::Again
        } else {
            Remedy::Stop
        }
    };
    if situation.class == EndedByPerson {
        return Remedy::Cancel;
    }
    if situation.submissions >= SUBMISSIONS_MAX {
        return Remedy::Stop;
    }
    match situation.class {
        // Batch has used up its attempts on Spot hosts: the price of certainty is worth it now.
        Reclaimed | HostLost | Preempted | NoCapacity => {
            if situation.can_move && situation.market == Market::Spot {
                Remedy::MoveToOnDemand
            } else {
                up_to(2)
            }
        }
        OutOfMemory => {
            let doubled = situation
                .memory_mib
                .saturating_mul(2)
                .min(situation.max_memory_mib);
            if situation.times == 1 && doubled > situation.memory_mib {
                Remedy::WithMemory {
                    memory_mib: doubled,
                }
            } else {
                Remedy::Stop
            }
        }
        ImageTransient | HostFault | StoreUnreachable | ShardsFailed => up_to(2),
        // Once more only if there is something to go on from.
        Timeout => {
            if situation.has_checkpoint {
                up_to(1)
            } else {
                Remedy::Stop
            }
        }
        Killed | Unknown | Stalled | NoOutput | ContainerRefused | NotOwner | HandedOver => {
            up_to(1)
        }
        // The same would happen again; a GPU hour would not change it.
        BadData | BadConfiguration | Bug | Program | BadCommand | QualityFloor | ImageRefused
        | PermissionDenied | Misconfigured | Derived | EndedByUs => Remedy::Stop,
        EndedByPerson => Remedy::Cancel,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn situation(class: Class) -> Situation {
        Situation {
            class,
            times: 1,
            submissions: 1,
            market: Market::Spot,
            can_move: true,
            memory_mib: 4096,
            max_memory_mib: 16384,
            has_checkpoint: false,
        }
    }

    #[test_case(Class::HostLost, Remedy::MoveToOnDemand)]
    #[test_case(Class::NoCapacity, Remedy::MoveToOnDemand)]
    #[test_case(Class::Preempted, Remedy::MoveToOnDemand)]
    #[test_case(Class::OutOfMemory, Remedy::WithMemory { memory_mib: 8192 })]
    #[test_case(Class::ImageTransient, Remedy::Again)]
    #[test_case(Class::ImageRefused, Remedy::Stop)]
    #[test_case(Class::HostFault, Remedy::Again)]
    #[test_case(Class::Timeout, Remedy::Stop)]
    #[test_case(Class::BadData, Remedy::Stop)]
    #[test_case(Class::BadConfiguration, Remedy::Stop)]
    #[test_case(Class::Bug, Remedy::Stop)]
    #[test_case(Class::QualityFloor, Remedy::Stop)]
    #[test_case(Class::Killed, Remedy::Again)]
    #[test_case(Class::Unknown, Remedy::Again)]
    #[test_case(Class::EndedByPerson, Remedy::Cancel)]
    fn the_first_time(class: Class, expected: Remedy) {
        assert_eq!(remedy(&situation(class)), expected);
    }

    #[test]
    fn the_second_time_unknown_stops() {
        let again = Situation {
            times: 2,
            submissions: 2,
            ..situation(Class::Unknown)
        };

        assert_eq!(remedy(&again), Remedy::Stop);
    }

    #[test]
    fn memory_is_doubled_once_and_never_past_the_cap() {
        let near = Situation {
            memory_mib: 12288,
            ..situation(Class::OutOfMemory)
        };
        let full = Situation {
            memory_mib: 16384,
            ..situation(Class::OutOfMemory)
        };
        let twice = Situation {
            times: 2,
            ..situation(Class::OutOfMemory)
        };

        assert_eq!(remedy(&near), Remedy::WithMemory { memory_mib: 16384 });
        assert_eq!(remedy(&full), Remedy::Stop);
        assert_eq!(remedy(&twice), Remedy::Stop);
    }

    #[test]
    fn a_timeout_is_resumed_once_if_there_is_a_checkpoint() {
        let resumed = Situation {
            has_checkpoint: true,
            ..situation(Class::Timeout)
        };
        let twice = Situation {
            times: 2,
            ..resumed.clone()
        };

        assert_eq!(remedy(&resumed), Remedy::Again);
        assert_eq!(remedy(&twice), Remedy::Stop);
    }

    #[test]
    fn nothing_is_submitted_for_ever() {
        let many = Situation {
            submissions: SUBMISSIONS_MAX,
            ..situation(Class::HostLost)
        };

        assert_eq!(remedy(&many), Remedy::Stop);
    }
}
