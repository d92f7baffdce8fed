//! What the linker leads through this program: `src/kafka/native/leader_discovery.rs` says why.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-link-arg=-Wl,--wrap=rd_kafkap_leader_discovery_set_topic");
    }
}
