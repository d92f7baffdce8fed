//! Keeps the high bids of an auction house and turns their dollars into euros.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct HighBids {
    /// Bids of so many dollars and more are kept.
    at_least: f64,
    /// Bids of so many dollars and more are highlights besides.
    highlight: f64,
    euros_per_dollar: f64,
}

/// The events of the house: people and auctions too, which this plugin drops.
#[derive(Deserialize)]
enum Event<'a> {
    #[serde(borrow)]
    Bid(Bid<'a>),
    Person(serde::de::IgnoredAny),
    Auction(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Bid<'a> {
    auction: u64,
    bidder: u64,
    /// In cents.
    price: u64,
    channel: &'a str,
}

#[derive(Serialize)]
struct HighBid<'a> {
    auction: u64,
    bidder: u64,
    euros: f64,
    channel: &'a str,
}

impl Plugin for HighBids {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["bids", "highlights"])
            .config_schema(include_str!("../config.schema.json"))
    }

    fn process(&mut self, event: &sandbar_sdk::Event, out: &mut Outputs) -> Result<(), Refusal> {
        let Event::Bid(bid) = event.json()? else { return Ok(()) };
        let dollars = bid.price as f64 / 100.0;
        if dollars < self.at_least {
            return Ok(());
        }
        let euros = (dollars * self.euros_per_dollar * 100.0).round() / 100.0;
        let high = HighBid {
            auction: bid.auction,
            bidder: bid.bidder,
            euros,
            channel: bid.channel,
        };
        let key = bid.auction.to_string();
        out.emit_json(&key, &high)?;
        if dollars >= self.highlight {
            out.emit_json(&key, &high)?.to(1);
        }
        Ok(())
    }
}

sandbar_sdk::plugin!(HighBids);
