//! An authority that signs certificates, by another library than the one that reads them.

use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

const DAY: i64 = 86_400;

pub(super) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key, in PEM.
pub(super) struct SignedPair {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// A certificate that is good from yesterday until so many days from now.
fn begun(name: &str, key: &PKey<Private>, days: i64) -> X509Builder {
    let now = crate::clock::now() / 1000;
    let mut builder = X509::builder().unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject.build()).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(now - 30 * DAY).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::from_unix(now + days * DAY).unwrap())
        .unwrap();
    builder
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = new_key();
        let mut builder = begun(name, &key, 30);
        let issuer = {
            let mut issuer = X509NameBuilder::new().unwrap();
            issuer.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
            issuer.build()
        };
        builder.set_issuer_name(&issuer).unwrap();
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(constraints).unwrap();
        let usage = KeyUsage::new().critical().key_cert_sign().build().unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self {
            certificate: builder.build(),
            key,
        }
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// For 127.0.0.1 and localhost, and for clients.
    pub(super) fn issue(&self, name: &str) -> SignedPair {
        self.issue_until(name, 30)
    }

    /// One that ended days ago, if the number is negative.
    pub(super) fn issue_until(&self, name: &str, days: i64) -> SignedPair {
        let key = new_key();
        let mut builder = begun(name, &key, days);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let alternative = {
            let context = builder.x509v3_context(Some(&self.certificate), None);
            let mut names = SubjectAlternativeName::new();
            names.dns("localhost").ip("127.0.0.1").build(&context).unwrap()
        };
        builder.append_extension(alternative).unwrap();
        let usage = ExtendedKeyUsage::new().server_auth().client_auth().build().unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        SignedPair {
            certificate: builder.build().to_pem().unwrap(),
            key: key.private_key_to_pem_pkcs8().unwrap(),
        }
    }
}

impl SignedPair {
    /// Into files `NAME.pem` and `NAME.key`.
    pub(super) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&paths.0, &self.certificate).unwrap();
        std::fs::write(&paths.1, &self.key).unwrap();
        paths
    }
}
