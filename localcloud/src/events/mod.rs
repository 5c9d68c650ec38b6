//! `EventBridge`: matches events with the template's rules, keeps its schedules, and hands what they say to
//! functions. Delivers at least once and in no order, as the real one.

mod bus;
mod input;
mod schedule;

pub(crate) use bus::EventBus;
pub(crate) use input::{of_event, of_schedule};
