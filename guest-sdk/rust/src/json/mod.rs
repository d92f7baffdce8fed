//! JSON without a tree: a value is found in a document by its pointer (RFC 6901), and read when it is asked for; the
//! whole document is checked on the way.
//!
//! ```
//! use sandbar_sdk::prelude::*;
//!
//! /// Puts out of each order what its dear items cost, whatever else stands in it.
//! #[derive(Deserialize)]
//! struct Dear;
//!
//! impl Plugin for Dear {
//!     fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
//!         let order = event.json_value()?;
//!         let user = order.at("/user/name")?.as_str()?;
//!         for item in order.at("/items")?.entries()? {
//!             let price = item.at("/price")?.as_i64()?;
//!             if price >= 100 { out.emit_json(&*user, &(price, item))?; }
//!         }
//!         Ok(())
//!     }
//! }
//! # use sandbar_sdk::testing::{Host, Record};
//! # let mut host = Host::<Dear>::open("").unwrap();
//! # let order = r#"{"user": {"name": "ann"}, "items": [{"price": 5}, {"price": 120, "of": "silk"}]}"#;
//! # host.push(Record::new("1", order, 7));
//! # host.push(Record::new("2", r#"{"user": {"name": "bob"}, "items": [{"price": "5"}]}"#, 8));
//! # host.push(Record::new("3", r#"{"user": {}}"#, 9));
//! # host.run().unwrap();
//! # let said: Vec<_> = host.take_outputs().iter().map(ToString::to_string).collect();
//! # assert_eq!(said, [r#"out ann=[120,{"price": 120, "of": "silk"}] @7"#]);
//! # assert_eq!(host.take_refused(), [
//! #     dead_letter(r#"at "/items/0/price" stands "5": a whole number of 64 bits was expected"#),
//! #     dead_letter(r#"there is nothing at "/user/name""#),
//! # ]);
//! ```
//!
//! Owns a reader of its own because a filter's time is spent here: in the sandbox, at 110 bytes a document, it takes
//! two thirds of the time of serde_json's (without a tree), which it is tested against. Always: what is found stands in
//! a document that is JSON from its first byte to its last.

mod pointer;
mod cursor;
mod reader;
mod lazy;
mod compact;

#[cfg(test)]
mod lazy_tests;

pub use compact::compact;
pub use lazy::LazyValue;
pub use pointer::{Pointer, pointer};
pub use reader::Invalid;
