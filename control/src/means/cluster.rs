//! A cluster that a tenant's pipelines refer to by name: its brokers, and how to sign in there.
//!
//! Never has a property that is not allowed, and never a secret in the open: that is a reference to one of the tenant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::properties::{is_allowed_property, is_secret_property};
use super::secret::{SecretText, TEXT_BYTES};
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of the list of brokers, at most.
const BROKERS_BYTES: usize = 4096;
/// Properties of a cluster, at most.
const MOST_PROPERTIES: usize = 64;

/// A cluster as it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TenantCluster {
    /// `host:port`, with commas between them.
    pub brokers: String,
    /// Properties of librdkafka by name.
    #[serde(default)]
    pub properties: BTreeMap<String, ClusterProperty>,
}

/// The value of a property: a text, or `{ "secret": NAME }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum ClusterProperty {
    /// This text.
    Text(String),
    /// What the tenant's secret of this name says.
    Secret {
        /// Its name.
        secret: Name,
    },
}

/// A cluster as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KeptCluster {
    /// Its name.
    pub name: Name,
    /// `host:port`, with commas between them.
    pub brokers: String,
    /// Properties of librdkafka by name: a text, or `{ "secret": NAME }`; null: a text that is not for whoever asks.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub properties: BTreeMap<String, Option<ClusterProperty>>,
    /// When it was set last.
    pub changed: i64,
}

/// A cluster with its secrets opened. Its `Debug` shows none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMeans {
    /// `host:port`, with commas between them.
    pub brokers: String,
    /// Properties of librdkafka by name.
    pub properties: BTreeMap<String, PropertyMeans>,
}

/// The value of a property, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyMeans {
    /// This text.
    Text(String),
    /// What a secret says.
    Secret {
        /// Its name.
        name: Name,
        /// Its text; `None`: the tenant has no secret of that name.
        text: Option<SecretText>,
    },
}

impl TenantCluster {
    /// Whether brokers are named, and each property may be set and is within limits.
    ///
    /// # Errors
    ///
    /// `Invalid` or `TooLarge` if not.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        if self.brokers.len() > BROKERS_BYTES || !self.brokers.split(',').all(is_broker) {
            let why = format!("its brokers are not host:port with commas between them, {BROKERS_BYTES} bytes at most");
            return Err(Problem::new(ProblemKind::Invalid, what, why));
        }
        if self.properties.len() > MOST_PROPERTIES {
            let count = self.properties.len();
            let why = format!("it has {count} properties, and {MOST_PROPERTIES} are taken at most");
            return Err(Problem::new(ProblemKind::Invalid, what, why));
        }
        let mut all = self.properties.iter();
        all.try_for_each(|(name, value)| check_property(what, name, value))
    }
}

impl KeptCluster {
    /// The same for the tenant: texts are the platform's, references are the tenant's own.
    #[must_use]
    pub(crate) fn for_tenant(mut self) -> Self {
        let is_text = |value: &mut ClusterProperty| matches!(value, ClusterProperty::Text(_));
        self.properties
            .values_mut()
            .for_each(|value| drop(value.take_if(is_text)));
        self
    }

    /// The same with its secrets opened.
    pub(crate) fn open(self, secrets: &BTreeMap<String, SecretText>) -> ClusterMeans {
        let opened = |property| match property {
            ClusterProperty::Text(text) => PropertyMeans::Text(text),
            ClusterProperty::Secret { secret } => PropertyMeans::Secret {
                text: secrets.get(secret.as_str()).cloned(),
                name: secret,
            },
        };
        let properties = self.properties.into_iter();
        ClusterMeans {
            brokers: self.brokers,
            properties: properties
                .filter_map(|(name, value)| Some((name, opened(value?))))
                .collect(),
        }
    }
}

fn check_property(what: &str, name: &str, value: &ClusterProperty) -> Result<()> {
    if !is_allowed_property(name) {
        let shown: String = name.chars().take(100).collect();
        let why = format!("the property {shown:?} is none of those that a cluster of a tenant may have");
        return Err(Problem::new(ProblemKind::Invalid, what, why).hint("docs/serve.md lists them"));
    }
    let ClusterProperty::Text(text) = value else {
        return Ok(());
    };
    if is_secret_property(name) {
        let why = format!("the value of {name} is a secret, and would stand in the open");
        let hint = "keep it as a secret of the tenant, and give { \"secret\": NAME } (--property-secret)";
        return Err(Problem::new(ProblemKind::Invalid, what, why).hint(hint));
    }
    if text.len() > TEXT_BYTES || text.contains('\0') {
        let why = format!("the value of {name} has more than {TEXT_BYTES} bytes, or a NUL");
        return Err(Problem::new(ProblemKind::Invalid, what, why));
    }
    Ok(())
}

/// Whether this is `host:port`; an address of IPv6 stands in brackets.
fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_of_host),
    };
    is_host && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, value: ClusterProperty) -> TenantCluster {
        TenantCluster {
            brokers: "a:9092".to_owned(),
            properties: BTreeMap::from([(name.to_owned(), value)]),
        }
    }

    fn text(text: &str) -> ClusterProperty {
        ClusterProperty::Text(text.to_owned())
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        for brokers in ["a:9092", "a.b-c:1,10.0.0.1:65535", "[::1]:9092"] {
            assert!(brokers.split(',').all(is_broker), "{brokers}");
        }
        for brokers in [
            "",
            "a",
            "a:",
            ":9092",
            "a:0",
            "a:65536",
            "a:+1",
            "a:9092,",
            "a:1, b:2",
            "SSL://a:1",
            "::1:9092",
            "[a]:1",
            "unix:/x:1",
            "a\0:1",
        ] {
            assert!(!brokers.split(',').all(is_broker), "{brokers:?}");
        }
    }

    #[test]
    fn what_may_not_be_set_is_refused_by_name_and_no_secret_is_repeated() {
        for (cluster, word) in [
            (cluster("ssl.ca.location", text("/root")), "ssl.ca.location"),
            (cluster("ssl.ca.location", secret("ca")), "ssl.ca.location"),
            (
                cluster("sasl.password", text("hunter2")),
                "the value of sasl.password is a secret",
            ),
            (cluster("ssl.ca.pem", text("hunter2\0")), "the value of ssl.ca.pem has"),
            (cluster("ssl.ca.pem", text(&"x".repeat(TEXT_BYTES + 1))), "65536"),
        ] {
            let problem = cluster.check("failed").unwrap_err();
            assert!(problem.why.contains(word), "{problem}");
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
        assert!(cluster("sasl.password", secret("p")).check("failed").is_ok());
        assert!(cluster("linger.ms", text("5")).check("failed").is_ok());
    }

    #[test]
    fn a_value_is_a_text_or_a_reference() {
        let read = serde_json::from_str::<TenantCluster>;
        let wanted = cluster("sasl.password", secret("p"));
        let given = r#"{"brokers":"a:9092","properties":{"sasl.password":{"secret":"p"}}}"#;
        assert_eq!(read(given).unwrap(), wanted);
        assert_eq!(serde_json::to_string(&wanted).unwrap(), given);
        for wrong in [
            r#"{"brokers":"a:1","properties":{"a":{"secret":"../p"}}}"#,
            r#"{"brokers":"a:1","properties":{"a":{"file":"/etc/shadow"}}}"#,
            r#"{"brokers":"a:1","properties":{"a":1}}"#,
            r#"{"brokers":"a:1","properties":{"a":{"secret":"p","file":"x"}}}"#,
            r#"{"brokers":"a:1","more":1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    fn kept(properties: [(&str, ClusterProperty); 2]) -> KeptCluster {
        KeptCluster {
            name: "c".parse().unwrap(),
            brokers: "a:9092".to_owned(),
            properties: properties.map(|(name, value)| (name.to_owned(), Some(value))).into(),
            changed: 7,
        }
    }

    fn secret(name: &str) -> ClusterProperty {
        ClusterProperty::Secret {
            secret: name.parse().unwrap(),
        }
    }

    #[test]
    fn secrets_are_opened_and_shown_by_nobody() {
        let secrets = BTreeMap::from([("p".to_owned(), SecretText::new("hunter2".to_owned()).unwrap())]);
        let opened = kept([("sasl.password", secret("p")), ("ssl.key.pem", secret("gone"))]).open(&secrets);
        let PropertyMeans::Secret { text: Some(text), .. } = &opened.properties["sasl.password"] else {
            panic!("{opened:?}");
        };
        assert_eq!(text.reveal(), "hunter2");
        assert!(!format!("{opened:?}").contains("hunter2"));
        let missing = &opened.properties["ssl.key.pem"];
        assert!(
            matches!(missing, PropertyMeans::Secret { text: None, .. }),
            "{missing:?}"
        );
    }

    #[test]
    fn a_tenant_sees_names_and_references() {
        let shown = kept([("sasl.password", secret("p")), ("sasl.username", text("me"))]).for_tenant();
        assert_eq!(shown.properties["sasl.password"], Some(secret("p")));
        assert_eq!(shown.properties["sasl.username"], None);
    }
}
