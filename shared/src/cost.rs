//! What work costs: whole micro-dollars, and a dated list of prices.
//!
//! A price that is not in the list is unknown, never 0.

mod money;
mod price_list;

pub use money::{Usd, cost_of};
pub use price_list::{Price, PriceList, PriceListError, price};
