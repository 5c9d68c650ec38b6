//! The dated price list that is built in: on-demand prices, and what Spot saves on average.
//!
//! Prices change; a new list is a new file in `prices/`, never a number in the code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::Date;
use serde::Deserialize;

use super::Usd;
use crate::identity::Market;

static BUILT_IN: LazyLock<PriceList> = LazyLock::new(|| {
    PriceList::parse(include_str!("../../prices/2026-08-17-us-east-1.toml"))
        .expect("the built-in price list is parsed by a test")
});

/// What an hour costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// For the whole instance.
    pub usd_per_hour: Usd,
    /// Not a listed price: the market's mean, or the on-demand price as the upper bound of a Spot
    /// price whose mean is not known.
    pub estimated: bool,
}

/// Why a price list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceListError {
    /// Not TOML, or not of this shape.
    #[error("read the price list")]
    Shape(#[from] toml::de::Error),
    /// A price of 0 or less, or a saving that is no percentage.
    #[error("price list: `{instance_type}` has {what}")]
    Value {
        /// Whose.
        instance_type: String,
        /// What is wrong.
        what: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    date: Date,
    region: String,
    #[serde(rename = "sources")]
    _sources: Vec<String>,
    instance: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    on_demand_usd_per_hour: f64,
    spot_saving_percent: Option<u8>,
}

/// Prices of one region on one day.
#[derive(Debug, Clone)]
pub struct PriceList {
    /// When they were read.
    pub date: Date,
    /// Where they hold.
    pub region: String,
    instances: BTreeMap<String, (Usd, Option<u8>)>,
}

impl PriceList {
    /// The list that is built in.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, PriceListError> {
        let document: Document = toml::from_str(text)?;
        let mut instances = BTreeMap::new();
        for (instance_type, entry) in document.instance {
            let wrong = |what| PriceListError::Value {
                instance_type: instance_type.clone(),
                what,
            };
            let hourly = Usd::from_dollars(entry.on_demand_usd_per_hour)
                .filter(|hourly| *hourly > Usd::ZERO)
                .ok_or_else(|| wrong("a price that is not more than 0"))?;
            if entry
                .spot_saving_percent
                .is_some_and(|saving| saving >= 100)
            {
                return Err(wrong("a saving of 100 % or more"));
            }
            instances.insert(instance_type, (hourly, entry.spot_saving_percent));
        }
        Ok(Self {
            date: document.date,
            region: document.region,
            instances,
        })
    }

    /// What an hour costs; `None` for a type that is not listed.
    pub fn price(&self, instance_type: &str, market: Market) -> Option<Price> {
        let (on_demand, saving) = *self.instances.get(instance_type)?;
        Some(match (market, saving) {
            (Market::OnDemand, _) => Price {
                usd_per_hour: on_demand,
                estimated: false,
            },
            (Market::Spot, saving) => {
                let paid_percent = 100 - i64::from(saving.unwrap_or(0));
                let micros = on_demand.micros() * paid_percent;
                let usd_per_hour = Usd::from_micros(micros.div_euclid(100));
                Price {
                    usd_per_hour,
                    estimated: true,
                }
            }
        })
    }
}

/// What an hour costs by the built-in list; `None` for a type that is not listed.
pub fn price(instance_type: &str, market: Market) -> Option<Price> {
    BUILT_IN.price(instance_type, market)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_dated_and_full() {
        let list = PriceList::parse(include_str!("../../prices/2026-08-17-us-east-1.toml"))
            .expect("the built-in list is a list");

        assert_eq!(list.date.to_string(), "2026-08-17");
        assert_eq!(list.region, "us-east-1");
        assert_eq!(list.instances.len(), 46);
    }

    #[test]
    fn spot_costs_what_it_saves_less() {
        let listed = price("g4dn.xlarge", Market::OnDemand).expect("listed");
        let spot = price("g4dn.xlarge", Market::Spot).expect("listed");

        assert_eq!(
            listed,
            Price {
                usd_per_hour: Usd::from_micros(526_000),
                estimated: false
            }
        );
        assert_eq!(
            spot,
            Price {
                usd_per_hour: Usd::from_micros(189_360),
                estimated: true
            }
        );
    }

    #[test]
    fn spot_without_a_known_mean_is_bounded_by_on_demand() {
        let spot = price("g4dn.2xlarge", Market::Spot).expect("listed");

        assert_eq!(
            spot,
            Price {
                usd_per_hour: Usd::from_micros(752_000),
                estimated: true
            }
        );
    }

    #[test]
    fn an_unknown_type_has_no_price() {
        assert_eq!(price("g9.xlarge", Market::Spot), None);
        assert_eq!(price("p6-b200.48xlarge", Market::OnDemand), None);
        assert_eq!(price("", Market::OnDemand), None);
    }

    #[test]
    fn a_list_with_a_price_of_nothing_is_refused() {
        let text = "date = \"2026-08-17\"\nregion = \"us-east-1\"\nsources = []\n\
                    [instance.\"g4dn.xlarge\"]\non_demand_usd_per_hour = 0.0\n";

        let error = PriceList::parse(text).expect_err("0 is no price");

        assert!(error.to_string().contains("g4dn.xlarge"), "{error}");
    }
}
