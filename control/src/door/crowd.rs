//! Who is connected: how many connections there may be, of whom, and which one goes if there are too many.
//!
//! Always: whoever has more connections than they may loses the oldest of their own, so that a flood drowns itself and
//! whoever signs in at once is answered; connections that signed in never go for those that did not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::names::Name;

/// Connections in all, at most, if the process may have twice as many open files.
const MOST: usize = 4096;
/// Connections that have not signed in, of one peer address, at most.
const MOST_OF_A_STRANGER: usize = 256;
/// Connections that have not signed in, at most.
const MOST_OF_STRANGERS: usize = 1024;
/// Connections that a tenant signed in on, at most: its streams, and as many again for requests.
const MOST_OF_A_TENANT: usize = 128;

/// Whose a connection is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// Nobody signed in on it yet; it comes from this address, or from the socket of the machine.
    Stranger(Option<IpAddr>),
    /// A tenant signed in on it.
    Tenant(Name),
    /// The platform signed in on it.
    Platform,
}

impl Owner {
    /// Whoever comes from this address. One network of IPv6 is one peer: each of its machines has 2^64 addresses.
    pub(crate) fn at(address: IpAddr) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        };
        Self::Stranger(Some(address))
    }

    fn is_stranger(&self) -> bool {
        matches!(self, Self::Stranger(_))
    }

    fn most(&self) -> usize {
        match self {
            Self::Stranger(_) => MOST_OF_A_STRANGER,
            Self::Tenant(_) => MOST_OF_A_TENANT,
            Self::Platform => usize::MAX,
        }
    }
}

/// All who are connected.
#[derive(Debug, Clone)]
pub(crate) struct Crowd(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    most: usize,
    /// The number of the next place: a smaller one is an older one.
    next: u64,
    places: BTreeMap<u64, (Owner, Arc<Notify>)>,
    of: HashMap<Owner, BTreeSet<u64>>,
    strangers: usize,
}

/// A connection's place in the crowd, which goes with it.
#[derive(Debug)]
struct Seat {
    crowd: Crowd,
    number: u64,
    called_off: Arc<Notify>,
}

/// Who is at the other end of a connection; stands with each of its requests.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    from: Arc<str>,
    seat: Arc<Seat>,
}

impl Crowd {
    /// Nobody yet, for a process that may have so many files open.
    pub(crate) fn new(most_files: usize) -> Self {
        let seats = Seats {
            most: MOST.min(most_files / 2),
            ..Seats::default()
        };
        Self(Arc::new(Mutex::new(seats)))
    }

    /// Lets one more in, `from` an address that the audit has. `None`: there are as many as there may be, and all of
    /// them signed in.
    pub(crate) fn welcome(&self, owner: Owner, from: impl Into<Arc<str>>) -> Option<Visitor> {
        let called_off = Arc::new(Notify::new());
        let number = self.with(|seats| seats.take(owner, called_off.clone()))?;
        let crowd = self.clone();
        Some(Visitor {
            from: from.into(),
            seat: Arc::new(Seat {
                crowd,
                number,
                called_off,
            }),
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Seats) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seats {
    fn take(&mut self, owner: Owner, called_off: Arc<Notify>) -> Option<u64> {
        if self.places.len() >= self.most && !self.call_off_a_stranger() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.put(number, owner, called_off);
        Some(number)
    }

    /// Puts a connection to its owner, whose oldest one goes if that is one too many.
    fn put(&mut self, number: u64, owner: Owner, called_off: Arc<Notify>) {
        self.strangers += usize::from(owner.is_stranger());
        let own = self.of.entry(owner.clone()).or_default();
        own.insert(number);
        let oldest = (own.len() > owner.most()).then(|| own.first().copied()).flatten();
        self.places.insert(number, (owner, called_off));
        if let Some(oldest) = oldest {
            self.call_off(oldest);
        }
        if self.strangers > MOST_OF_STRANGERS {
            self.call_off_a_stranger();
        }
    }

    fn remove(&mut self, number: u64) -> Option<(Owner, Arc<Notify>)> {
        let (owner, called_off) = self.places.remove(&number)?;
        self.strangers -= usize::from(owner.is_stranger());
        if let Some(own) = self.of.get_mut(&owner) {
            own.remove(&number);
            if own.is_empty() {
                self.of.remove(&owner);
            }
        }
        Some((owner, called_off))
    }

    fn call_off(&mut self, number: u64) {
        if let Some((_, called_off)) = self.remove(number) {
            called_off.notify_one();
        }
    }

    /// The oldest of the address that has the most of those that did not sign in.
    fn call_off_a_stranger(&mut self) -> bool {
        let strangers = self.of.iter().filter(|(owner, _)| owner.is_stranger());
        let most = strangers.max_by_key(|(_, own)| own.len());
        let Some(oldest) = most.and_then(|(_, own)| own.first().copied()) else {
            return false;
        };
        self.call_off(oldest);
        true
    }
}

impl Visitor {
    /// The address that the audit has.
    pub(crate) fn from(&self) -> &str {
        &self.from
    }

    /// A tenant signed in on this connection, or the platform.
    pub(crate) fn signed_in(&self, tenant: Option<&Name>) {
        let owner = tenant.map_or(Owner::Platform, |tenant| Owner::Tenant(tenant.clone()));
        let number = self.seat.number;
        self.seat.crowd.with(|seats| {
            if seats.places.get(&number).is_none_or(|(before, _)| *before == owner) {
                return;
            }
            if let Some((_, called_off)) = seats.remove(number) {
                seats.put(number, owner, called_off);
            }
        });
    }

    /// Waits until this connection has to go for another.
    pub(super) async fn called_off(&self) {
        self.seat.called_off.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.with(|seats| seats.remove(self.number));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn stranger(last: u8) -> Owner {
        Owner::at(IpAddr::from([10, 0, 0, last]))
    }

    fn gone(visitors: &[Visitor]) -> Vec<usize> {
        let is_gone = |visitor: &Visitor| visitor.called_off().now_or_never().is_some();
        (0..visitors.len()).filter(|at| is_gone(&visitors[*at])).collect()
    }

    #[test]
    fn a_flood_from_one_address_drives_out_its_own_oldest() {
        let crowd = Crowd::new(10_000);
        let other = crowd.welcome(stranger(2), "").unwrap();
        let flood: Vec<_> = (0..MOST_OF_A_STRANGER + 3)
            .map(|_| crowd.welcome(stranger(1), "").unwrap())
            .collect();
        assert_eq!(gone(&flood), [0, 1, 2]);
        assert!(gone(&[other]).is_empty());
    }

    #[test]
    fn who_signed_in_is_not_driven_out_by_strangers_and_a_tenant_has_a_limit() {
        let crowd = Crowd::new(10_000);
        let one: Name = "one".parse().unwrap();
        let signed: Vec<_> = (0..MOST_OF_A_TENANT)
            .map(|_| {
                let visitor = crowd.welcome(stranger(1), "").unwrap();
                visitor.signed_in(Some(&one));
                visitor.signed_in(Some(&one));
                visitor
            })
            .collect();
        let strangers: Vec<_> = (0..MOST_OF_STRANGERS + 10)
            .map(|at| crowd.welcome(stranger(u8::try_from(at % 200).unwrap()), "").unwrap())
            .collect();
        assert_eq!(gone(&strangers).len(), 10);
        assert!(gone(&signed).is_empty());
        let more = crowd.welcome(stranger(1), "").unwrap();
        more.signed_in(Some(&one));
        assert_eq!(gone(&signed), [0]);
    }

    #[test]
    fn a_full_house_takes_one_more_only_for_a_stranger() {
        let crowd = Crowd::new(6);
        let first = crowd.welcome(stranger(1), "").unwrap();
        let inside: Vec<_> = (2..4).map(|at| crowd.welcome(stranger(at), "").unwrap()).collect();
        inside.iter().for_each(|visitor| visitor.signed_in(None));
        let second = crowd.welcome(stranger(4), "").unwrap();
        assert_eq!(gone(&[first]), [0]);
        second.signed_in(None);
        assert!(crowd.welcome(stranger(5), "").is_none());
        drop(second);
        assert!(crowd.welcome(stranger(5), "").is_some());
        assert!(gone(&inside).is_empty());
    }

    #[test]
    fn places_are_given_back_and_a_network_is_one_peer() {
        let crowd = Crowd::new(10_000);
        for _ in 0..10 {
            let visitors: Vec<_> = (0..50).map(|_| crowd.welcome(stranger(1), "a").unwrap()).collect();
            assert!(gone(&visitors).is_empty());
            assert_eq!(visitors[0].from(), "a");
        }
        crowd.with(|seats| assert!(seats.places.is_empty() && seats.of.is_empty() && seats.strangers == 0));
        let at = |text: &str| Owner::at(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2:3::4"), at("2001:db8:1:2::ffff"));
        assert_eq!(at("::ffff:10.0.0.1"), stranger(1));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }
}
