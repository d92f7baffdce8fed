//! A method for each request about what a tenant has: secrets, clusters, topics, quotas, signing keys and what it used.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::connection::Connection;
use super::requests::of;
use crate::means::{
    Access, KeptCluster, KeptSecret, KeptSigningKey, PipelineUsage, Quotas, SecretText, SigningKey, TenantCluster,
};
use crate::model::names::{KeyId, Name};
use crate::model::problem::Result;

/// Each method fails as those of the other requests do.
impl Connection {
    /// Keeps a secret, in the place of the one of that name.
    ///
    /// # Errors
    /// As all.
    pub fn set_secret(&self, tenant: &Name, name: &Name, text: &SecretText) -> Result<()> {
        let request = self.request(Method::PUT, &of(tenant, &["secrets", name.as_str()]), &[]);
        let request = request.header(CONTENT_TYPE, "text/plain");
        self.tell(request.body(text.reveal().to_owned()))
    }

    /// A tenant's secrets, without their texts.
    ///
    /// # Errors
    /// As all.
    pub fn secrets(&self, tenant: &Name) -> Result<Vec<KeptSecret>> {
        self.all(&of(tenant, &["secrets"]), &[])
    }

    /// Deletes a secret.
    ///
    /// # Errors
    /// As all.
    pub fn delete_secret(&self, tenant: &Name, name: &Name) -> Result<()> {
        self.tell(self.request(Method::DELETE, &of(tenant, &["secrets", name.as_str()]), &[]))
    }

    /// Keeps a cluster, in the place of the one of that name.
    ///
    /// # Errors
    /// As all; `Invalid`: one of its properties may not be set.
    pub fn set_cluster(&self, tenant: &Name, name: &Name, cluster: &TenantCluster) -> Result<KeptCluster> {
        let request = self.request(Method::PUT, &of(tenant, &["clusters", name.as_str()]), &[]);
        self.ask(request.json(cluster))
    }

    /// A tenant's clusters.
    ///
    /// # Errors
    /// As all.
    pub fn clusters(&self, tenant: &Name) -> Result<Vec<KeptCluster>> {
        self.all(&of(tenant, &["clusters"]), &[])
    }

    /// Deletes a cluster.
    ///
    /// # Errors
    /// As all.
    pub fn delete_cluster(&self, tenant: &Name, name: &Name) -> Result<()> {
        self.tell(self.request(Method::DELETE, &of(tenant, &["clusters", name.as_str()]), &[]))
    }

    /// Says which topics a tenant may read and write.
    ///
    /// # Errors
    /// As all.
    pub fn set_access(&self, tenant: &Name, access: &Access) -> Result<()> {
        self.tell(self.request(Method::PUT, &of(tenant, &["access"]), &[]).json(access))
    }

    /// The keys that sign a tenant's plugins.
    ///
    /// # Errors
    /// As all.
    pub fn signing_keys(&self, tenant: &Name) -> Result<Vec<KeptSigningKey>> {
        self.all(&of(tenant, &["signing-keys"]), &[])
    }

    /// Adds a key that signs a tenant's plugins.
    ///
    /// # Errors
    /// As all; `Conflict`: the tenant has another key of that id.
    pub fn add_signing_key(&self, tenant: &Name, key: &SigningKey, note: &str) -> Result<KeptSigningKey> {
        let body = json!({ "key": key.as_str(), "note": note });
        self.ask(
            self.request(Method::POST, &of(tenant, &["signing-keys"]), &[])
                .json(&body),
        )
    }

    /// Removes a key; what it alone signed counts as not signed.
    ///
    /// # Errors
    /// As all.
    pub fn remove_signing_key(&self, tenant: &Name, id: &KeyId) -> Result<()> {
        self.tell(self.request(Method::DELETE, &of(tenant, &["signing-keys", id.as_str()]), &[]))
    }

    /// Says whether a tenant's plugins have to be signed by one of its keys.
    ///
    /// # Errors
    /// As all.
    pub fn require_signatures(&self, tenant: &Name, is_required: bool) -> Result<()> {
        let body = json!({ "required": is_required });
        self.tell(self.request(Method::PUT, &of(tenant, &["signatures"]), &[]).json(&body))
    }

    /// How much a tenant may use.
    ///
    /// # Errors
    /// As all.
    pub fn quotas(&self, tenant: &Name) -> Result<Quotas> {
        self.ask(self.request(Method::GET, &of(tenant, &["quotas"]), &[]))
    }

    /// Says how much a tenant may use, in all.
    ///
    /// # Errors
    /// As all.
    pub fn set_quotas(&self, tenant: &Name, quotas: &Quotas) -> Result<()> {
        self.tell(self.request(Method::PUT, &of(tenant, &["quotas"]), &[]).json(quotas))
    }

    /// What the pipelines of a tenant, or of all, used from the hour of `from` on in hours that began before `to`, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// As all.
    pub fn usage(&self, tenant: Option<&Name>, from: Option<i64>, to: Option<i64>) -> Result<Vec<PipelineUsage>> {
        let segments = tenant.map_or_else(|| vec!["v1", "usage"], |tenant| of(tenant, &["usage"]));
        let (from, to) = (from.map(|from| from.to_string()), to.map(|to| to.to_string()));
        let span = [("from", from.as_deref()), ("to", to.as_deref())];
        let parameters: Vec<_> = span
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        self.all(&segments, &parameters)
    }
}
