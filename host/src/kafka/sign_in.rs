//! Gives the clients of a cluster what they sign in with, for as long as they live.

use std::sync::atomic::{AtomicU64, Ordering};

use super::native::credentials::{NativeClient, set_password, set_token};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::login::{Login, Present, Token};

/// That a client signed in, and how far it knows what it signs in with.
#[derive(Debug, Default)]
pub(crate) struct SignedIn {
    login: Login,
    seen: AtomicU64,
}

impl SignedIn {
    /// Gives a client that was just made its token, and waits for that.
    ///
    /// # Errors
    /// `Kafka`: no token is to be had, or the client takes none.
    pub(crate) fn begin(login: &Login, client: &impl NativeClient) -> Result<Self> {
        let signed_in = Self {
            login: login.clone(),
            seen: AtomicU64::new(0),
        };
        if let Some(present) = login.present()? {
            signed_in
                .give(client, &present)
                .map_err(|why| Error::new(Kind::Kafka, "failed to sign in to Kafka", why))?;
        }
        Ok(signed_in)
    }

    /// Gives the client of `begin` what changed since, if anything did; waits for nothing.
    pub(crate) fn tend(&self, client: &impl NativeClient) {
        let Some(present) = self.login.newer(self.seen.load(Ordering::Relaxed)) else {
            return;
        };
        if let Err(why) = self.give(client, &present) {
            tracing::warn!("a client of Kafka did not take what it signs in with: {why}");
        }
    }

    fn give(&self, client: &impl NativeClient, present: &Present) -> Result<(), String> {
        self.seen.store(present.version, Ordering::Relaxed);
        // librdkafka takes none that ended; the next one follows.
        let is_good = |token: &&Token| token.until > clock::wall_ms();
        if let Some(token) = present.token.as_ref().filter(is_good) {
            set_token(client, token, &present.extensions)?;
        }
        match &present.credentials {
            Some((user, password)) => set_password(client, user, password),
            None => Ok(()),
        }
    }
}
