//! Prints the events of an auction house as JSON lines, `auction-events [COUNT]`: people, auctions and bids of the
//! Nexmark benchmark, the same ones each time.

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::Event;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// The first event's time; by default the generator takes the clock's, which is another one each time.
const BASE_TIME_MS: u64 = 1_700_000_000_000;

fn main() -> ExitCode {
    let count = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse());
    let written = match count {
        Ok(count) => write_events(count, BufWriter::with_capacity(1 << 20, io::stdout().lock())),
        Err(error) => Err(io::Error::other(format!("the number of events is none: {error}"))),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads = writeln!(io::stderr(), "error: failed to write the events: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Keyed by auction, if an event has one, so that an auction's bids stay in their order.
fn write_events(count: usize, mut out: impl Write) -> io::Result<()> {
    let config = NexmarkConfig {
        base_time: BASE_TIME_MS,
        ..NexmarkConfig::default()
    };
    for event in EventGenerator::new(config).take(count) {
        let key = match &event {
            Event::Person(person) => person.id,
            Event::Auction(auction) => auction.id,
            Event::Bid(bid) => bid.auction,
        };
        write!(out, r#"{{"key":"{key}","timestamp":{},"value":"#, event.timestamp())?;
        serde_json::to_writer(&mut out, &event)?;
        out.write_all(b"}\n")?;
    }
    out.flush()
}
