//! Plugins in OCI registries, laid out as wkg does it: a config `application/vnd.wasm.config.v0+json`, and one layer
//! `application/wasm`, which is the component. A signature is an annotation of that layer.
//!
//! Never takes more bytes than a manifest or a plugin may have, whatever a registry says. Always: over https, but on
//! this machine; what was taken has the digests that the reference and the manifest name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::header::ACCEPT;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::credentials::Registries;
use super::local::MOST_PLUGIN_BYTES;
use crate::means::PluginSignature;
use crate::model::names::Digest;
use crate::model::problem::{Problem, ProblemKind, Result};

/// How a reference begins.
const SCHEME: &str = "oci://";
/// The media type of the config of a component.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of a component.
const COMPONENT: &str = "application/wasm";
/// How every component begins.
const COMPONENT_HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
/// The annotation of a layer that has its signature: a file `.minisig` in base64, for `oci-client` writes line breaks
/// into JSON as they are.
const SIGNATURE: &str = "dev.sandbar.plugin.minisig";
/// Bytes of a manifest, at most.
const MOST_MANIFEST_BYTES: u64 = 1 << 20;
/// How long a connection and a sign-in may take, and the silence between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a plugin may take, to come or to go.
const WHOLE_PATIENCE: Duration = Duration::from_secs(600);
/// Characters of what a registry says that are repeated.
const MOST_SAID: usize = 300;

/// Where a plugin stands in a registry: `oci://REGISTRY/REPOSITORY:TAG` or `…@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciReference(Reference);

impl OciReference {
    /// Whether this text is meant as one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// What a plugin from there is called: the last part of the repository.
    pub(super) fn name(&self) -> &str {
        self.0.repository().rsplit('/').next().unwrap_or_default()
    }

    fn registry(&self) -> &str {
        self.0.resolve_registry()
    }

    /// Whether the registry is on this machine, and so is spoken to without TLS.
    fn is_local(&self) -> bool {
        let host = self
            .registry()
            .rsplit_once(':')
            .map_or(self.registry(), |(host, _)| host);
        ["127.0.0.1", "localhost"].contains(&host)
    }

    fn url(&self, below: &str) -> String {
        let scheme = if self.is_local() { "http" } else { "https" };
        format!("{scheme}://{}/v2/{}/{below}", self.registry(), self.0.repository())
    }
}

impl FromStr for OciReference {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let none = |why: &str| format!("{text:?} is no reference to a registry: {why}");
        let whole = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| none("it does not begin with oci://"))?;
        let is_named = whole
            .split_once('/')
            .is_some_and(|(host, _)| host == "localhost" || host.contains(['.', ':']));
        if !is_named {
            return Err(none(
                "it does not name the registry, as oci://registry.example/team/count:1.0 does",
            ));
        }
        let reference: Reference = whole.parse().map_err(|why| none(&format!("{why}")))?;
        match reference.digest().map(str::parse::<Digest>) {
            Some(Err(why)) => Err(none(&why)),
            _ => Ok(Self(reference)),
        }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}", self.0)
    }
}

/// A plugin from a registry.
#[derive(Debug, Clone)]
pub struct PulledPlugin {
    /// The component.
    pub bytes: Vec<u8>,
    /// The signature that stands beside it, not checked yet.
    pub signature: Option<PluginSignature>,
}

impl Registries {
    /// Pulls a plugin.
    ///
    /// # Errors
    /// `NotFound`: it is not there; `NotSignedIn`: the registry refuses; `PluginRefused`: it is too large, no
    /// component, or not what its digest says; `Unavailable`: the registry does not answer; `Failed`: it does so
    /// wrongly.
    pub fn pull(&self, reference: &OciReference) -> Result<PulledPlugin> {
        let what = format!("failed to pull {reference}");
        let auth = self.credentials(reference.registry())?;
        in_time(&what, pulled(reference, &auth, &what))
    }

    /// Pushes a component, with its signature if it is signed.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub fn push(&self, reference: &OciReference, bytes: Vec<u8>, signature: Option<&PluginSignature>) -> Result<()> {
        let what = format!("failed to push {reference}");
        if reference.0.digest().is_some() {
            let why = "what it names is a digest, which follows from the bytes";
            return Err(Problem::new(ProblemKind::Invalid, what, why).hint("name a tag"));
        }
        is_component(&bytes, &what)?;
        let auth = self.credentials(reference.registry())?;
        let annotation = signature.map(|signature| (SIGNATURE.to_owned(), STANDARD.encode(signature.as_str())));
        let annotations = annotation.map(|annotation| BTreeMap::from([annotation]));
        let layer = ImageLayer::new(bytes, COMPONENT.to_owned(), annotations);
        // The same component makes the same manifest: nothing in it is of the moment.
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.sha256_digest()],
        });
        let config = Config::new(config.to_string(), CONFIG.to_owned(), None);
        let client = client(reference, &what)?;
        in_time(&what, async {
            let pushed = client.push(&reference.0, &[layer], config, &auth, None).await;
            pushed.map(drop).map_err(|error| refused(&what, error))
        })
    }
}

/// Reads the component of a file and pushes it to a registry, with the signature of the file that is named, or of the
/// one beside it.
///
/// # Errors
/// `PluginRefused`: a file cannot be read. Otherwise as [`Registries::push`].
pub fn push_to(
    registries: &Registries,
    reference: &OciReference,
    path: &Path,
    signature: Option<&Path>,
) -> Result<Digest> {
    let bytes = super::local::plugin(path)?;
    let digest = Digest::of_hash(&Sha256::digest(&bytes));
    let beside = super::local::beside(path);
    let signature = signature.or_else(|| beside.is_file().then_some(beside.as_path()));
    let signature = signature.map(super::local::signature).transpose()?;
    registries.push(reference, bytes, signature.as_ref())?;
    Ok(digest)
}

fn in_time<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::new(ProblemKind::Failed, what, error))?;
    let limited = async { tokio::time::timeout(WHOLE_PATIENCE, work).await };
    runtime.block_on(limited).unwrap_or_else(|_| {
        let why = format!("it did not come to its end within {} s", WHOLE_PATIENCE.as_secs());
        Err(Problem::new(ProblemKind::Unavailable, what, why))
    })
}

fn client(reference: &OciReference, what: &str) -> Result<Client> {
    let config = ClientConfig {
        protocol: match reference.is_local() {
            true => ClientProtocol::Http,
            false => ClientProtocol::Https,
        },
        platform_resolver: None,
        read_timeout: Some(PATIENCE),
        connect_timeout: Some(PATIENCE),
        ..ClientConfig::default()
    };
    Client::try_from(config).map_err(|error| refused(what, error))
}

async fn pulled(reference: &OciReference, auth: &RegistryAuth, what: &str) -> Result<PulledPlugin> {
    let ask = Asking::begin(reference, auth, what).await?;
    let pinned = reference.0.digest();
    let named = pinned.or(reference.0.tag()).unwrap_or("latest");
    let request = ask
        .request(&format!("manifests/{named}"))
        .header(ACCEPT, OCI_IMAGE_MEDIA_TYPE);
    let manifest = ask.body(request, MOST_MANIFEST_BYTES, "its manifest").await?;
    if let Some(pinned) = pinned {
        is_of_digest(&manifest, pinned, "its manifest", what)?;
    }
    let wrong = |why: String| Problem::new(ProblemKind::PluginRefused, what, why);
    let manifest: OciImageManifest = serde_json::from_slice(&manifest).map_err(|error| {
        wrong(format!(
            "its manifest is none of one plugin: {}",
            said(&error.to_string())
        ))
    })?;
    let layer = component_of(&manifest).map_err(wrong)?;
    let size = u64::try_from(layer.size).ok().filter(|size| *size <= MOST_PLUGIN_BYTES);
    let size = size.ok_or_else(|| wrong(format!("it has {} bytes, and not 0 to {MOST_PLUGIN_BYTES}", layer.size)))?;
    let text = layer.annotations.as_ref().and_then(|all| all.get(SIGNATURE));
    let signature = text.map(|text| signature_of(text).map_err(wrong)).transpose()?;
    let digest: Digest = layer.digest.parse().map_err(wrong)?;
    let bytes = ask.body(ask.request(&format!("blobs/{digest}")), size, "it").await?;
    is_of_digest(&bytes, digest.as_str(), "it", what)?;
    is_component(&bytes, what)?;
    Ok(PulledPlugin { bytes, signature })
}

/// The one layer of a manifest that is a component.
fn component_of(manifest: &OciImageManifest) -> std::result::Result<&OciDescriptor, String> {
    match manifest.layers.as_slice() {
        [layer] if layer.media_type == COMPONENT => Ok(layer),
        [layer] => Err(format!(
            "its layer is {:?}, and not {COMPONENT}",
            said(&layer.media_type)
        )),
        layers => Err(format!(
            "it has {} layers, and not the one of a component",
            layers.len()
        )),
    }
}

fn signature_of(annotation: &str) -> std::result::Result<PluginSignature, String> {
    let text = STANDARD.decode(annotation).ok().map(String::from_utf8);
    let text = text.and_then(std::result::Result::ok);
    text.ok_or_else(|| format!("its annotation {SIGNATURE} is no text in base64"))?
        .parse()
}

fn is_of_digest(bytes: &[u8], digest: &str, called: &str, what: &str) -> Result<()> {
    let actual = Digest::of_hash(&Sha256::digest(bytes));
    match actual.as_str() == digest {
        true => Ok(()),
        false => {
            let why = format!("{called} has the digest {actual}, and not {digest}");
            Err(Problem::new(ProblemKind::PluginRefused, what, why))
        }
    }
}

fn is_component(bytes: &[u8], what: &str) -> Result<()> {
    match bytes.starts_with(COMPONENT_HEAD) {
        true => Ok(()),
        false => Err(Problem::new(
            ProblemKind::PluginRefused,
            what,
            "it is no WebAssembly component",
        )),
    }
}

/// Questions to a registry that let somebody in, with answers that have an end. `oci-client` reads answers whole,
/// however long they are: it signs in and pushes.
struct Asking<'a> {
    client: reqwest::Client,
    reference: &'a OciReference,
    auth: RegistryAuth,
    what: &'a str,
}

impl<'a> Asking<'a> {
    async fn begin(reference: &'a OciReference, auth: &RegistryAuth, what: &'a str) -> Result<Self> {
        let signing = client(reference, what)?;
        let signed = tokio::time::timeout(PATIENCE, signing.auth(&reference.0, auth, RegistryOperation::Pull)).await;
        let token = signed
            .unwrap_or_else(|_| Ok(None))
            .map_err(|error| refused(what, error))?;
        // A redirect leads nowhere else than to https, and takes no credential along to another host.
        let client = reqwest::Client::builder()
            .https_only(!reference.is_local())
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .build()
            .map_err(|error| Problem::new(ProblemKind::Failed, what, error))?;
        Ok(Self {
            client,
            reference,
            auth: token.map_or_else(|| auth.clone(), RegistryAuth::Bearer),
            what,
        })
    }

    fn request(&self, below: &str) -> RequestBuilder {
        let request = self.client.get(self.reference.url(below));
        match &self.auth {
            RegistryAuth::Anonymous => request,
            RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
            RegistryAuth::Bearer(token) => request.bearer_auth(token),
        }
    }

    /// The body of an answer, which has so many bytes at most.
    async fn body(&self, request: RequestBuilder, most: u64, called: &str) -> Result<Vec<u8>> {
        let answer = request.send().await.map_err(|error| self.broken(error))?;
        let mut answer = self.answered(answer)?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.broken(error))? {
            if (bytes.len() as u64).saturating_add(piece.len() as u64) > most {
                let why = format!("{called} has more bytes than {most}");
                return Err(Problem::new(ProblemKind::PluginRefused, self.what, why));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn answered(&self, answer: Response) -> Result<Response> {
        let problem = |kind, why: String| Problem::new(kind, self.what, why);
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(not_signed_in(self.what)),
            StatusCode::NOT_FOUND => {
                let hint = "look at the repository and the tag; some registries say so to who is not signed in, too";
                Err(problem(ProblemKind::NotFound, "the registry does not have it".to_owned()).hint(hint))
            }
            status => Err(problem(ProblemKind::Failed, format!("the registry answers {status}"))),
        }
    }

    fn broken(&self, error: reqwest::Error) -> Problem {
        unreachable_registry(self.what, error)
    }
}

fn unreachable_registry(what: &str, error: reqwest::Error) -> Problem {
    let why = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default();
    Problem::new(
        ProblemKind::Unavailable,
        what,
        format!("the registry does not answer: {}", said(&why)),
    )
    .hint("is its address right? Only 127.0.0.1 and localhost are spoken to without TLS")
}

fn not_signed_in(what: &str) -> Problem {
    Problem::new(ProblemKind::NotSignedIn, what, "the registry does not let in who asks").hint(
        "sign in with `docker login` or `podman login`: the file of REGISTRY_AUTH_FILE or of DOCKER_CONFIG is read, \
         or ~/.docker/config.json",
    )
}

fn refused(what: &str, error: OciDistributionError) -> Problem {
    match error {
        OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
            not_signed_in(what)
        }
        OciDistributionError::ServerError { code: 401 | 403, .. } => not_signed_in(what),
        OciDistributionError::RequestError(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
            not_signed_in(what)
        }
        OciDistributionError::RequestError(error) => unreachable_registry(what, error),
        error => Problem::new(ProblemKind::Failed, what, said(&error.to_string())),
    }
}

/// What a registry says, for a person: short, and without control characters.
fn said(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MOST_SAID).collect()
}
