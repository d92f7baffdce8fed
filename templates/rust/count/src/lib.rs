//! Counts the records of each key: for every record the number of those that its key has had.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct Count {
    #[serde(skip)]
    total: Value<u64>,
}

impl Plugin for Count {
    fn stores(stores: &mut Stores<Self>) {
        stores.add("total", |count| &mut count.total);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let total = self.total.get(event)?.unwrap_or(0) + 1;
        self.total.set(event, &total)?;
        out.emit_text(event.key(), total);
        Ok(())
    }
}

sandbar_sdk::plugin!(Count);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_sdk::testing::{Host, Record};

    #[test]
    fn each_key_has_a_count_of_its_own() {
        let mut host: Host<Count> = Host::open("").unwrap();
        for key in ["a", "b", "a"] {
            host.push(Record::new(key, "x", 0));
        }
        host.run().unwrap();
        let counts: Vec<_> = host.take_outputs().into_iter().map(|output| output.value.unwrap()).collect();
        assert_eq!(counts, [b"1", b"1", b"2"]);
    }
}
