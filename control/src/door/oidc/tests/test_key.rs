//! A key that signs tokens, by another library than the one that verifies them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(crate) struct TestKey {
    pub(crate) id: String,
    algorithm: &'static str,
    key: PKey<Private>,
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl TestKey {
    /// Of `RS256`, `ES256` or `EdDSA`.
    pub(crate) fn new(id: &str, algorithm: &'static str) -> Self {
        let key = match algorithm {
            "RS256" => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            "ES256" => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
                PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
            }
            _ => PKey::generate_ed25519().unwrap(),
        };
        Self {
            id: id.to_owned(),
            algorithm,
            key,
        }
    }

    /// As a set of keys has it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            "RS256" => {
                let rsa = self.key.rsa().unwrap();
                json!({ "kty": "RSA", "n": base64(rsa.n().to_vec()), "e": base64(rsa.e().to_vec()) })
            }
            "ES256" => {
                let key = self.key.ec_key().unwrap();
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let mut context = BigNumContext::new().unwrap();
                let point = key.public_key();
                let coordinates = point.affine_coordinates(key.group(), &mut x, &mut y, &mut context);
                coordinates.unwrap();
                let padded = |number: BigNum| base64(number.to_vec_padded(32).unwrap());
                json!({ "kty": "EC", "crv": "P-256", "x": padded(x), "y": padded(y) })
            }
            _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(self.key.raw_public_key().unwrap()) }),
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The bytes of its public key, as everybody has them.
    pub(crate) fn public_pem(&self) -> Vec<u8> {
        self.key.public_key_to_pem().unwrap()
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" }), claims)
    }

    /// A token with this head, whatever it says.
    pub(crate) fn sign_as(&self, head: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(head.to_string()), base64(claims.to_string()));
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", base64(signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        if self.algorithm == "EdDSA" {
            let mut signer = Signer::new_without_digest(&self.key).unwrap();
            return signer.sign_oneshot_to_vec(message).unwrap();
        }
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(message).unwrap();
        if self.algorithm == "RS256" {
            return signature;
        }
        let signature = EcdsaSig::from_der(&signature).unwrap();
        let numbers = [signature.r(), signature.s()];
        numbers
            .iter()
            .flat_map(|number| number.to_vec_padded(32).unwrap())
            .collect()
    }
}
