//! What goes through C: gives librdkafka's clients what they sign in with, and ends a command that hangs.
#![expect(
    unsafe_code,
    reason = "there is no other way to librdkafka's setters, nor to a group of processes"
)]

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka_sys as sys;

use super::present::{Login, Present};
use super::token::Token;
use crate::clock;
use crate::error::{Error, Kind, Result};

/// A client of librdkafka.
///
/// # Safety
/// The pointer is that of a client which lives as long as this.
pub unsafe trait Native {
    /// The client itself.
    fn pointer(&self) -> *mut sys::rd_kafka_t;
}

// SAFETY: the wrapper destroys its client when it is dropped itself.
unsafe impl<C: ClientContext> Native for Client<C> {
    fn pointer(&self) -> *mut sys::rd_kafka_t {
        self.native_ptr()
    }
}

/// That a client signed in, and how far it knows what it signs in with.
#[derive(Debug, Default)]
pub struct SignedIn {
    login: Login,
    seen: AtomicU64,
}

impl SignedIn {
    /// Gives a client that was just made its token, and waits for that.
    ///
    /// # Errors
    /// `Kafka`: no token is to be had, or the client takes none.
    pub fn begin(login: &Login, client: &impl Native) -> Result<Self> {
        let signed_in = Self {
            login: login.clone(),
            seen: AtomicU64::new(0),
        };
        if let Some(present) = login.present()? {
            // SAFETY: the client lives during the call.
            unsafe { signed_in.give(client.pointer(), &present) }
                .map_err(|why| Error::new(Kind::Kafka, "failed to sign in to Kafka", why))?;
        }
        Ok(signed_in)
    }

    /// Gives the client of `begin` what changed since, if anything did; waits for nothing.
    pub fn tend(&self, client: &impl Native) {
        let Some(present) = self.login.newer(self.seen.load(Ordering::Relaxed)) else {
            return;
        };
        // SAFETY: the client lives during the call.
        if let Err(why) = unsafe { self.give(client.pointer(), &present) } {
            tracing::warn!("a client of Kafka did not take what it signs in with: {why}");
        }
    }

    unsafe fn give(&self, client: *mut sys::rd_kafka_t, present: &Present) -> Result<(), String> {
        self.seen.store(present.version, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe {
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
}

unsafe fn set_token(
    client: *mut sys::rd_kafka_t,
    token: &Token,
    extensions: &[(String, String)],
) -> Result<(), String> {
    let (text, principal) = (terminated(&token.text)?, terminated(&token.principal)?);
    let said = extensions.iter().flat_map(|(name, value)| [name, value]);
    let said: Vec<CString> = said.map(|text| terminated(text)).collect::<Result<_, _>>()?;
    let mut said: Vec<*const c_char> = said.iter().map(|text| text.as_ptr()).collect();
    let mut why = [0 as c_char; 512];
    // SAFETY: the client lives; all texts end with a zero byte and live during the call, which copies them; `why` is as
    // long as we say.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client,
            text.as_ptr(),
            token.until,
            principal.as_ptr(),
            said.as_mut_ptr(),
            said.len(),
            why.as_mut_ptr(),
            why.len(),
        )
    };
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        // SAFETY: librdkafka ended the text with a zero byte when it gave an error.
        _ => Err(unsafe { CStr::from_ptr(why.as_ptr()) }.to_string_lossy().into_owned()),
    }
}

unsafe fn set_password(client: *mut sys::rd_kafka_t, user: &str, password: &str) -> Result<(), String> {
    let (user, password) = (terminated(user)?, terminated(password)?);
    // SAFETY: the client lives; both texts end with a zero byte and live during the call, which copies them; the error
    // that it gives is ours.
    unsafe {
        let error = sys::rd_kafka_sasl_set_credentials(client, user.as_ptr(), password.as_ptr());
        if error.is_null() {
            return Ok(());
        }
        let why = CStr::from_ptr(sys::rd_kafka_error_string(error))
            .to_string_lossy()
            .into_owned();
        sys::rd_kafka_error_destroy(error);
        Err(why)
    }
}

fn terminated(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| "it has a zero byte".to_owned())
}

/// Ends all processes of the group that `leader` leads. The caller has not reaped the leader: its id is still its own.
pub(super) fn end_group(leader: u32) {
    // 0 and 1 would name our own group, and everybody.
    let Some(leader) = libc::pid_t::try_from(leader).ok().filter(|leader| *leader > 1) else {
        return;
    };
    // SAFETY: takes numbers only. A group that is gone is what is wanted.
    unsafe {
        libc::kill(-leader, libc::SIGKILL);
    }
}
