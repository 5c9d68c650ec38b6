//! Tier B: the product's own SDK clients over the services in memory, on the virtual clock.

mod answers;
mod weeks;
