//! Which ways to sign in are built, and what properties of librdkafka say of them.
//!
//! The names are librdkafka's, and one of ours: `sasl.oauthbearer.token`, a token from the environment, a file or a
//! command. librdkafka's own client of token endpoints is not built, so what is said about tokens does not reach it.

use std::collections::BTreeMap;

use super::endpoint::{Address, Endpoint};
use super::present::{Login, TokenSource};
use super::secret::Secret;

/// Properties and where their values come from.
pub(super) type Properties = BTreeMap<String, Secret>;

/// Why a property is refused: its name, why, and, if there is one, what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedProperty {
    /// The property.
    pub name: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Mechanisms that are built.
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// Names of properties, or how they begin, and why they are refused.
#[rustfmt::skip]
const NOT_BUILT: &[(&str, &str)] = &[
    ("sasl.kerberos.", "Kerberos (GSSAPI) is not built"),
    ("ssl.engine.", "OpenSSL engines are native code, which is not loaded"),
    ("ssl.provider", "OpenSSL providers are native code, which is not loaded"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "tokens that nobody signed are not made"),
    ("sasl.oauthbearer.config", "tokens that nobody signed are not made, and it is for nothing else"),
    ("sasl.oauthbearer.assertion.",
        "assertions are not built; client credentials are, and tokens from a file or a command"),
    ("sasl.oauthbearer.metadata.authentication.",
        "the metadata services of clouds are not asked; a command may do it: `sasl.oauthbearer.token`"),
    ("sasl.oauthbearer.sub.claim.name", "the token's `sub` names the user"),
];

/// What is said about tokens; none of it is librdkafka's business.
const TOKENS: &[&str] = &["sasl.oauthbearer.", "https.ca."];

/// Takes what is this module's business out of properties, and gives what is left as text, beside how to sign in.
pub fn sign_in(mut properties: Properties) -> Result<(BTreeMap<String, String>, Login), RefusedProperty> {
    refuse_what_is_not_built(&properties)?;
    let mechanism = mechanism(&properties)?;
    let about_tokens: Properties = properties
        .extract_if(.., |name, _| TOKENS.iter().any(|begin| name.starts_with(begin)))
        .collect();
    let source = match mechanism.as_deref() {
        Some("OAUTHBEARER") => Some(source(&about_tokens)?),
        _ => None,
    };
    let extensions = match about_tokens.get("sasl.oauthbearer.extensions") {
        Some(list) => extensions(&text(list))?,
        None => Vec::new(),
    };
    let mut texts = BTreeMap::new();
    for (name, value) in &properties {
        let read = value.read().map_err(|why| refused(name, why, None))?;
        texts.insert(name.clone(), read);
    }
    properties.retain(|_, value| matches!(value, Secret::File(_)));
    let login = Login::new(source, extensions, properties, &texts);
    Ok((texts, login))
}

fn refuse_what_is_not_built(properties: &Properties) -> Result<(), RefusedProperty> {
    for (name, value) in properties {
        let known = NOT_BUILT.iter().find(|(begin, _)| name.starts_with(begin));
        if let Some((_, why)) = known {
            return Err(refused(name, (*why).to_owned(), None));
        }
        if matches!(value, Secret::Command(_)) && name != "sasl.oauthbearer.token" {
            let why = "only `sasl.oauthbearer.token` may come from a command".to_owned();
            return Err(refused(
                name,
                why,
                Some("write { env = \"NAME\" } or { file = \"path\" }".to_owned()),
            ));
        }
    }
    Ok(())
}

/// The mechanism of SASL, if there is SASL; only one that is built leaves here.
fn mechanism(properties: &Properties) -> Result<Option<String>, RefusedProperty> {
    let named = ["sasl.mechanism", "sasl.mechanisms"]
        .into_iter()
        .find_map(|name| Some((name, properties.get(name)?)));
    let protocol = properties.get("security.protocol").map(text).unwrap_or_default();
    let built = || Some(format!("set it to one of {}", MECHANISMS.join(", ")));
    let Some((name, value)) = named else {
        return match protocol.to_ascii_lowercase().starts_with("sasl") {
            true => {
                let why = "it asks for a `sasl.mechanism`, and there is none: librdkafka's own choice, GSSAPI \
                    (Kerberos), is not built";
                Err(refused(
                    "security.protocol",
                    why.to_owned(),
                    Some(format!("add \"sasl.mechanism\", one of {}", MECHANISMS.join(", "))),
                ))
            }
            false => Ok(None),
        };
    };
    let value = text(value);
    match MECHANISMS.contains(&value.as_str()) {
        true => Ok(Some(value)),
        false if value == "GSSAPI" => Err(refused(name, "GSSAPI (Kerberos) is not built".to_owned(), built())),
        false => Err(refused(
            name,
            format!("`{value}` is no mechanism that is built"),
            built(),
        )),
    }
}

/// Where tokens come from.
fn source(properties: &Properties) -> Result<TokenSource, RefusedProperty> {
    const TOKEN: &str = "sasl.oauthbearer.token";
    const URL: &str = "sasl.oauthbearer.token.endpoint.url";
    let method = properties.get("sasl.oauthbearer.method").map(text);
    if let Some(method) = method.filter(|method| !["oidc", "default"].contains(&method.as_str())) {
        let why = format!("`{method}` is no method: it is \"oidc\", or left out");
        return Err(refused("sasl.oauthbearer.method", why, None));
    }
    let grant = properties.get("sasl.oauthbearer.grant.type").map(text);
    if let Some(grant) = grant.filter(|grant| grant != "client_credentials") {
        let why = format!("`{grant}` is not built; \"client_credentials\" is");
        return Err(refused("sasl.oauthbearer.grant.type", why, None));
    }
    match (properties.get(TOKEN), properties.get(URL)) {
        (Some(_), Some(_)) => {
            let why = format!("the token comes from one place, and `{URL}` is another");
            Err(refused(TOKEN, why, None))
        }
        (Some(token), None) => Ok(TokenSource::Token(token.clone())),
        (None, Some(url)) => endpoint(text(url), properties).map(TokenSource::Endpoint),
        (None, None) => Err(refused(
            "sasl.mechanism",
            "OAUTHBEARER needs a token, and nothing says where it comes from".to_owned(),
            Some(format!(
                "set \"{URL}\", \"sasl.oauthbearer.client.id\" and \"sasl.oauthbearer.client.secret\", or \
                 \"{TOKEN}\" = {{ file = \"path\" }} or {{ command = [\"program\", \"argument\"] }}"
            )),
        )),
    }
}

fn endpoint(url: String, properties: &Properties) -> Result<Endpoint, RefusedProperty> {
    let of_client = |what: &str| {
        let names = [
            format!("sasl.oauthbearer.client.{what}"),
            format!("sasl.oauthbearer.client.credentials.client.{what}"),
        ];
        let found = names.iter().find_map(|name| properties.get(name)).cloned();
        found.ok_or_else(|| refused(&names[0], "a token endpoint asks for it".to_owned(), None))
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let why = "it is an address that begins with https://, or http:// on a network that you trust".to_owned();
        return Err(refused("sasl.oauthbearer.token.endpoint.url", why, None));
    }
    let trusted = properties.get("https.ca.pem").cloned();
    let at = properties
        .get("https.ca.location")
        .map(|at| Secret::File(text(at).into()));
    Ok(Endpoint {
        client_id: of_client("id")?,
        client_secret: of_client("secret")?,
        scope: properties.get("sasl.oauthbearer.scope").map(text),
        trusted: trusted.or(at),
        url: Address(url),
    })
}

/// `name=value,name=value`.
fn extensions(list: &str) -> Result<Vec<(String, String)>, RefusedProperty> {
    let pair = |text: &str| match text.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.to_owned())),
        None => Err(refused(
            "sasl.oauthbearer.extensions",
            "it is a list such as \"name=value,name=value\"".to_owned(),
            None,
        )),
    };
    list.split(',')
        .filter(|text| !text.trim().is_empty())
        .map(pair)
        .collect()
}

/// A value that is no secret; one that cannot be read is told where it is used.
fn text(value: &Secret) -> String {
    value.read().unwrap_or_default()
}

fn refused(name: &str, why: String, hint: Option<String>) -> RefusedProperty {
    RefusedProperty {
        name: name.to_owned(),
        why,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::Text((*value).to_owned()));
        pairs.iter().map(pair).collect()
    }

    const OIDC: [(&str, &str); 6] = [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.client.id", "me"),
        ("sasl.oauthbearer.client.secret", "hunter2"),
        ("sasl.oauthbearer.token.endpoint.url", "https://issuer/token"),
    ];

    #[test]
    fn what_is_said_about_tokens_does_not_reach_librdkafka() {
        let (left, _) = sign_in(properties(&OIDC)).unwrap();
        let left: Vec<_> = left
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            left,
            [("sasl.mechanism", "OAUTHBEARER"), ("security.protocol", "sasl_ssl")]
        );
        let (left, _) = sign_in(properties(&[("linger.ms", "5")])).unwrap();
        assert_eq!(left["linger.ms"], "5");
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        for (name, value) in [
            ("sasl.mechanism", "GSSAPI"),
            ("sasl.mechanisms", "AWS_MSK_IAM"),
            ("sasl.kerberos.service.name", "kafka"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.engine.location", "x.so"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            ("sasl.mechanism", "OAUTHBEARER"),
        ] {
            let refusal = sign_in(properties(&[(name, value)])).unwrap_err();
            assert_eq!(refusal.name, name, "{refusal:?}");
        }
        for (name, value) in [
            ("sasl.oauthbearer.method", "magic"),
            (
                "sasl.oauthbearer.grant.type",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
            ),
            ("sasl.oauthbearer.assertion.file", "x"),
            ("sasl.oauthbearer.metadata.authentication.type", "azure_imds"),
            ("sasl.oauthbearer.token", "a.b.c"),
            ("sasl.oauthbearer.extensions", "novalue"),
            ("sasl.oauthbearer.token.endpoint.url", "file:///token"),
        ] {
            let mut all = properties(&OIDC);
            all.insert(name.to_owned(), Secret::Text(value.to_owned()));
            let refusal = sign_in(all).unwrap_err();
            assert_eq!(refusal.name, name, "{refusal:?}");
            assert!(!format!("{refusal:?}").contains("hunter2"));
        }
        let mut without = properties(&OIDC);
        without.remove("sasl.oauthbearer.client.secret");
        assert_eq!(sign_in(without).unwrap_err().name, "sasl.oauthbearer.client.secret");
        let command = Properties::from([("sasl.password".to_owned(), Secret::Command(vec!["cat".into()]))]);
        assert_eq!(sign_in(command).unwrap_err().name, "sasl.password");
    }
}
