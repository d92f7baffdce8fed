//! `sandbar context`: daemons by name, and which of them is asked.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sandbar_control::Name;
use sandbar_control::client::{Context, Contexts, OidcClient, Surroundings, Trust};
use serde_json::{Value, json};

use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar context`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Contexts are kept in the file that SANDBAR_CONFIG names, or in ~/.config/sandbar/contexts.toml; of a \
        token or a key they hold the path alone. A verb asks the daemon of its flags --url and --token-file, or of \
        --context; else that of SANDBAR_URL and SANDBAR_TOKEN_FILE; else that of the current context.\n\n\
        Example:\n  sandbar context add here --url http://127.0.0.1:8620 --token-file data/admin.token"
)]
pub struct ContextArgs {
    #[command(subcommand)]
    action: ContextAction,
}

#[derive(Subcommand, Debug)]
enum ContextAction {
    /// Add a daemon, or put it in the place of the one of that name; the first one becomes current
    #[command(
        after_help = "The token is one of a file, or one of an OpenID Connect issuer: with a client's secret each verb \
        asks for one; without it `sandbar login` does.\n\n\
        Examples:\n  sandbar context add here --url http://127.0.0.1:8620 --token-file data/admin.token\n  \
        sandbar context add here --url unix:data/serve.sock --token-file data/admin.token\n  \
        sandbar context add there --url https://sandbar.example:8620 --ca ca.pem --oidc-issuer https://login.example \
        --oidc-client-id sandbar"
    )]
    Add(Box<AddArgs>),
    /// Ask the daemon of this context from now on
    #[command(after_help = "Example:\n  sandbar context use here")]
    Use {
        /// The context's name
        name: Name,
    },
    /// List the contexts
    #[command(after_help = "Example:\n  sandbar context list")]
    List,
}

/// What a context is made of.
#[derive(Args, Debug)]
struct AddArgs {
    /// The context's name
    name: Name,
    /// The daemon's address, or unix:PATH of its socket
    #[arg(long, value_name = "URL")]
    url: String,
    /// The file of the token that is shown there
    #[arg(long, value_name = "FILE", required_unless_present = "oidc_issuer")]
    token_file: Option<PathBuf>,
    /// The authorities of the daemon's certificate (PEM); by default those of the machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate that is shown to the daemon (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of that certificate (PEM, PKCS #8)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// The OpenID Connect issuer of the token
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer: Option<String>,
    /// The client's id at the issuer
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// The file of the client's secret; without it a person logs in: `sandbar login`
    #[arg(long, value_name = "FILE", requires = "oidc_issuer", conflicts_with = "token_file")]
    oidc_client_secret_file: Option<PathBuf>,
    /// What is asked for at the issuer, in its words; `openid` if a person logs in
    #[arg(long, value_name = "SCOPE", requires = "oidc_issuer")]
    oidc_scope: Option<String>,
    /// The authorities of the issuer's certificate (PEM); by default those of the machine
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_ca: Option<PathBuf>,
}

impl AddArgs {
    fn context(self) -> (Name, Context) {
        let oidc = self.oidc_issuer.zip(self.oidc_client_id);
        let context = Context {
            url: self.url,
            token_file: self.token_file,
            trust: Trust {
                ca: self.ca,
                certificate: self.certificate,
                key: self.key,
            },
            oidc: oidc.map(|(issuer, client_id)| OidcClient {
                issuer,
                client_id,
                client_secret_file: self.oidc_client_secret_file,
                scope: self.oidc_scope,
                ca: self.oidc_ca,
            }),
        };
        (self.name, context)
    }
}

impl ContextArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let around = Surroundings::of_process();
        let path = around.contexts()?;
        match self.action {
            ContextAction::Add(args) => {
                let (name, context) = args.context();
                let before = Contexts::add(path, name.clone(), context)?;
                let current = Contexts::read(path)?.current.as_ref() == Some(&name);
                let told = json!({ "context": name, "replaced": before.is_some(), "current": current });
                out.show(&told, || {
                    let did = if before.is_some() { "replaced" } else { "added" };
                    let is = if current { "; it is the current one" } else { "" };
                    format!("{did} context {name}{is}")
                })
            }
            ContextAction::Use { name } => {
                Contexts::make_current(path, &name)?;
                out.show(&json!({ "current": name }), || {
                    format!("context {name} is the current one")
                })
            }
            ContextAction::List => list(&Contexts::read(path)?, out),
        }
    }
}

fn list(contexts: &Contexts, out: &Output) -> Result<()> {
    let heads = ["context", "current", "url", "token file"].map(Head::Text);
    let mut table = TextTable::new(&heads);
    let mut values = Vec::new();
    for (name, context) in &contexts.all {
        let current = contexts.current.as_ref() == Some(name);
        table.row([
            name.to_string(),
            if current { "yes" } else { "" }.to_owned(),
            context.url.clone(),
            context
                .token_file
                .as_ref()
                .map_or_else(String::new, |path| path.display().to_string()),
        ]);
        values.push(json!({
            "context": name, "current": current, "url": context.url, "token-file": context.token_file,
            "issuer": context.oidc.as_ref().map(|client| &client.issuer)
        }));
    }
    out.rows(&Value::Array(values), &table)
}
