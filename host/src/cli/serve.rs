//! `sandbar serve`: the daemon that keeps the pipelines of many tenants.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use sandbar_control::{OidcOptions, ServeOptions, Serving, TlsFiles};
use serde_json::json;

use super::output::Output;
use super::signals;
use crate::error::{Error, Kind, Result};
use crate::process::isolation;

/// Threads of the daemon: it asks and is asked, and does no work of a pipeline.
const THREADS: usize = 2;

/// Arguments of `sandbar serve`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each pipeline is a process of its own, `sandbar run`, which goes on when the daemon ends and is \
        found again when it begins. The first start writes the administrator's token to DIR/admin.token.\n\n\
        The secrets of tenants are sealed with the key in DIR/secrets.key, which the first start makes, or in \
        SANDBAR_SECRETS_KEY (32 bytes in base64). It answers on the socket DIR/serve.sock too. Certificates that \
        change are read anew within 10 s, or at SIGHUP.\n\n\
        Not built yet: several nodes.\n\n\
        Examples:\n  sandbar serve --data /var/lib/sandbar\n  \
        sandbar context add here --url unix:/var/lib/sandbar/serve.sock --token-file /var/lib/sandbar/admin.token\n  \
        sandbar serve --listen 0.0.0.0:8620 --tls-certificate daemon.pem --tls-key daemon.key"
)]
pub struct Serve {
    /// Its folder: the catalog, plugins, the state and the checkpoints of pipelines
    #[arg(long, value_name = "DIR", default_value = "sandbar-data")]
    data: PathBuf,
    /// Where it listens, without TLS on this machine alone; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8620")]
    listen: SocketAddr,
    /// Where tenants, tokens and pipelines are kept: sqlite:PATH or postgres://…; not given: in the folder
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Start no process that the kernel of this machine cannot shut in wholly: see `sandbar doctor`
    #[arg(long)]
    require_isolation: bool,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    oidc: OidcArgs,
}

/// What the daemon shows, and asks for, before anything is said.
#[derive(Args, Debug)]
struct TlsArgs {
    /// Speak TLS, with the certificate of this file (PEM), and those between it and its authority
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Turn away clients without a certificate of an authority of this file (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_client_ca: Option<PathBuf>,
}

/// Whose tokens sign in besides the daemon's own.
#[derive(Args, Debug)]
struct OidcArgs {
    /// Take tokens of this OpenID Connect issuer, signed by RS256, ES256 or EdDSA
    #[arg(long, value_name = "URL", requires = "oidc_audience")]
    oidc_issuer: Option<String>,
    /// For whom its tokens are to be
    #[arg(long, value_name = "AUDIENCE", requires = "oidc_issuer")]
    oidc_audience: Option<String>,
    /// The authorities of its certificate (PEM); by default those of the machine
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_ca: Option<PathBuf>,
    /// The claim that names the tenant
    #[arg(
        long,
        value_name = "CLAIM",
        requires = "oidc_issuer",
        default_value = "sandbar_tenant"
    )]
    oidc_tenant_claim: String,
    /// The claim that names the role: viewer, author, operator or admin
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer", default_value = "sandbar_role")]
    oidc_role_claim: String,
    /// Take the tenant `*` for the platform, which has every tenant
    #[arg(long, requires = "oidc_issuer")]
    oidc_platform: bool,
}

impl TlsArgs {
    fn files(self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.tls_certificate?,
            key: self.tls_key?,
            client_ca: self.tls_client_ca,
        })
    }
}

impl OidcArgs {
    fn options(self) -> Option<OidcOptions> {
        Some(OidcOptions {
            issuer: self.oidc_issuer?,
            audience: self.oidc_audience?,
            ca: self.oidc_ca,
            tenant_claim: self.oidc_tenant_claim,
            role_claim: self.oidc_role_claim,
            is_for_platform: self.oidc_platform,
        })
    }
}

impl Serve {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        walls(self.require_isolation)?;
        let failed = |error: std::io::Error| Error::new(Kind::Failed, "failed to start", error);
        let options = ServeOptions {
            data: self.data,
            listen: self.listen,
            tls: self.tls.files(),
            oidc: self.oidc.options(),
            catalog: self.catalog,
            program: std::env::current_exe().map_err(failed)?,
            is_isolation_required: self.require_isolation,
        };
        let (asked, mut is_asked) = tokio::sync::watch::channel(false);
        signals::listen(move || asked.send_replace(true))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()
            .map_err(failed)?;
        let stop = async move { drop(is_asked.wait_for(|asked| *asked).await) };
        let served = sandbar_control::serve(options, |serving| tell(serving, out), stop);
        runtime.block_on(served).map_err(Error::from)
    }
}

/// Says which walls this machine cannot build, or refuses to serve without them.
fn walls(are_required: bool) -> Result<()> {
    let lacking = isolation::lacking();
    if are_required && !lacking.is_empty() {
        let names = lacking.iter().map(|wall| format!("{} ({})", wall.name(), wall.needs()));
        let why = format!(
            "the kernel holds no wall around {}",
            names.collect::<Vec<_>>().join(", ")
        );
        return Err(
            Error::new(Kind::Failed, "failed to isolate the processes of pipelines", why)
                .hint("serve without --require-isolation, for teams that trust each other"),
        );
    }
    for wall in lacking {
        tracing::warn!(
            "pipelines run without a wall around {}: it needs {}",
            wall.name(),
            wall.needs()
        );
    }
    Ok(())
}

fn tell(serving: &Serving, out: &Output) {
    let Serving {
        url,
        socket,
        new_token,
        pipelines,
    } = serving;
    let value = json!({
        "event": "serving",
        "url": url,
        "socket": socket.display().to_string(),
        "token-file": new_token.as_ref().map(|path| path.display().to_string()),
        "pipelines": pipelines,
    });
    let told = out.show(&value, || {
        let token = match new_token {
            Some(path) => format!("\nthe administrator's token is in {}", path.display()),
            None => String::new(),
        };
        format!(
            "serving {url} and unix:{}, {pipelines} pipelines{token}",
            socket.display()
        )
    });
    if let Err(error) = told {
        tracing::warn!(%error, "nobody reads what the daemon says");
    }
}
