//! Emits 32 MiB in one output on records whose value is `flood`, four million empty outputs if it is
//! `flood-records`, on `fan COUNT KIB rest` so many outputs of so many KiB, each `rest` and blanks, and passes the
//! others. So `fan 16 1024 fan 8 1024 end` floods twice, if two of it stand in a row.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct FloodsOutput;

impl Plugin for FloodsOutput {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        match event.bytes()? {
            b"flood" => {
                out.emit(event.key(), vec![b'x'; 32 << 20]);
            }
            b"flood-records" => {
                for _ in 0..4_000_000 {
                    out.emit(NULL, NULL);
                }
            }
            value => match fan(value) {
                Some((count, filled)) => {
                    for _ in 0..count {
                        out.emit(event.key(), &filled);
                    }
                }
                None => {
                    out.pass(event);
                }
            },
        }
        Ok(())
    }
}

fn fan(value: &[u8]) -> Option<(usize, Vec<u8>)> {
    let told = std::str::from_utf8(value).ok()?.trim_end().strip_prefix("fan ")?;
    let mut words = told.splitn(3, ' ');
    let (count, kib) = (words.next()?.parse().ok()?, words.next()?.parse::<usize>().ok()?);
    let mut filled = words.next()?.as_bytes().to_vec();
    filled.resize(kib << 10, b' ');
    Some((count, filled))
}

sandbar_sdk::plugin!(FloodsOutput);
