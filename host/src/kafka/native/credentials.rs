//! What a client signs in with, handed to librdkafka.

use std::ffi::{CString, c_char};

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka_sys as sys;

use super::layout::{NO_ERROR, owned, terminated};
use crate::login::Token;

/// A client of librdkafka.
///
/// # Safety
/// The pointer is that of a client which lives as long as this.
pub(crate) unsafe trait NativeClient {
    /// The client itself.
    fn pointer(&self) -> *mut sys::rd_kafka_t;
}

// SAFETY: the wrapper destroys its client when it is dropped itself.
unsafe impl<C: ClientContext> NativeClient for Client<C> {
    fn pointer(&self) -> *mut sys::rd_kafka_t {
        self.native_ptr()
    }
}

/// A token of OAUTHBEARER, with its extensions; an error in librdkafka's words.
pub(crate) fn set_token(
    client: &impl NativeClient,
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
            client.pointer(),
            text.as_ptr(),
            token.until,
            principal.as_ptr(),
            said.as_mut_ptr(),
            said.len(),
            why.as_mut_ptr(),
            why.len(),
        )
    };
    match code as i32 {
        NO_ERROR => Ok(()),
        // SAFETY: librdkafka ended the text with a zero byte when it gave an error.
        _ => Err(unsafe { owned(why.as_ptr()) }),
    }
}

/// User and password of SASL; an error in librdkafka's words.
pub(crate) fn set_password(client: &impl NativeClient, user: &str, password: &str) -> Result<(), String> {
    let (user, password) = (terminated(user)?, terminated(password)?);
    // SAFETY: the client lives; both texts end with a zero byte and live during the call, which copies them; the error
    // that it gives is ours.
    unsafe {
        let error = sys::rd_kafka_sasl_set_credentials(client.pointer(), user.as_ptr(), password.as_ptr());
        if error.is_null() {
            return Ok(());
        }
        let why = owned(sys::rd_kafka_error_string(error));
        sys::rd_kafka_error_destroy(error);
        Err(why)
    }
}
