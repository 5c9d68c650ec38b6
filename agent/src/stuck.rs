//! A program that hangs: what can be learned of it before it is ended.
//!
//! A JVM, and a Python that registered `faulthandler`, write the stacks of all their threads on
//! SIGQUIT and go on; whoever does not catch the signal would die of it, without the checkpoint that
//! the SIGTERM after it asks for. The kernel says who catches it.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// SIGQUIT's bit in the kernel's masks.
const QUIT_BIT: u64 = 1 << 2;

/// Asks each process of the group that can tell for its stacks, and says of every one what the
/// kernel knows.
pub(crate) fn ask_for_stacks(group: Pid) {
    for id in members(group.as_raw_pid()) {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let waits_in = fs::read_to_string(format!("/proc/{id}/wchan")).unwrap_or_default();
        let tells = catches_quit(&status);
        tracing::warn!(
            "process {id} `{}`: {}, {} threads{}{}",
            field(&status, "Name").unwrap_or("?"),
            field(&status, "State").unwrap_or("?"),
            field(&status, "Threads").unwrap_or("?"),
            if matches!(waits_in.as_str(), "" | "0") {
                String::new()
            } else {
                format!(", in {waits_in}")
            },
            if tells { "; asked for its stacks" } else { "" },
        );
        if tells
            && let Some(pid) = Pid::from_raw(id)
            && let Err(error) = kill_process(pid, Signal::QUIT)
        {
            tracing::warn!("could not ask process {id} for its stacks: {error}");
        }
    }
}

fn members(group: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| {
            fs::read_to_string(format!("/proc/{id}/stat"))
                .is_ok_and(|stat| group_of(&stat) == Some(group))
        })
        .collect()
}

/// `<pid> (<name>) <state> <parent> <group> …`
fn group_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn catches_quit(status: &str) -> bool {
    field(status, "SigCgt")
        .and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .is_some_and(|mask| mask & QUIT_BIT != 0)
}

fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_who_catches_sigquit() {
        assert!(catches_quit("Name:\tjava\nSigCgt:\t0000000000000004\n"));
        assert!(!catches_quit("Name:\tsh\nSigCgt:\t0000000000000002\n"));
        assert!(!catches_quit("SigCgt:\tgarbled\n"));
        assert!(!catches_quit(""));
    }

    #[test]
    fn a_process_is_of_the_group_that_its_third_field_says() {
        assert_eq!(group_of("12 (a) b) S 7 9 7 0 -1"), Some(9));
        assert_eq!(group_of("garbled"), None);
    }
}
