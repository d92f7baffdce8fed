//! `sandbar login`: a person's token, from an OpenID Connect issuer.

use clap::Args;
use sandbar_control::Name;
use sandbar_control::client::{DeviceCode, Surroundings, login};
use serde_json::json;

use super::daemon::plain;
use crate::cli::output::Output;
use crate::error::Result;

/// Arguments of `sandbar login`.
#[derive(Args, Debug)]
#[command(
    after_help = "Shows an address and a code, waits until somebody typed in the code there, and keeps the token in \
        the context's file, for its owner alone. The context has an issuer: `sandbar context add NAME --url URL \
        --oidc-issuer URL --oidc-client-id ID`. A token ends when the issuer says; then log in again.\n\n\
        Example:\n  sandbar login --context there"
)]
pub struct LoginArgs {
    /// The context; by default the current one
    #[arg(long, value_name = "NAME")]
    context: Option<Name>,
}

impl LoginArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let around = Surroundings::of_process();
        let (context, path) = login(around.contexts()?, self.context.as_ref(), |code| show(code, out))?;
        let told = json!({ "event": "logged-in", "context": context, "token-file": path });
        out.show(&told, || {
            format!("logged in; the token of {context} is in {}", path.display())
        })
    }
}

fn show(code: &DeviceCode, out: &Output) {
    let (url, typed) = (plain(&code.url), plain(&code.code));
    let whole = code.complete_url.as_deref().map(plain);
    let told = json!({ "event": "code", "url": url, "code": typed, "complete-url": whole });
    let shown = out.show(&told, || {
        let or = whole
            .as_ref()
            .map_or_else(String::new, |whole| format!("\nor open {whole}"));
        format!("open {url} and type in {typed}{or}")
    });
    if let Err(error) = shown {
        tracing::warn!(%error, "nobody reads the code");
    }
}
