//! Configurations, judged before anything runs.

use super::*;

#[test]
fn the_schema_and_the_plugin_judge_the_config() {
    let filter = engine().load(&built("plugins", "filter")).unwrap();
    assert!(
        filter
            .operator("op", r#"{"field": "/ms", "at-least": 5}"#, limits())
            .is_ok()
    );
    for config in ["", "{}", r#"{"field": 1, "at-least": 5}"#, "{", "[]"] {
        assert_eq!(
            filter.operator("op", config, limits()).unwrap_err().kind,
            Kind::Invalid,
            "{config}"
        );
    }
    let error = guest("bad-config").operator("op", "", limits()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert_eq!(error.why, "the plugin refused it: no configuration is good enough");
}

#[test]
fn a_config_for_a_plugin_that_takes_none_is_refused() {
    let error = guest("traps").operator("op", r#"{"a": 1}"#, limits()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
}

#[test]
fn a_plugin_larger_than_its_memory_is_refused_before_it_runs() {
    let tiny = Limits {
        memory_bytes: 64 << 10,
        ..limits()
    };
    let error = guest("traps").operator("op", "", tiny).unwrap_err();
    assert_eq!(error.kind, Kind::Plugin);
    assert_eq!(
        error.why.lines().next(),
        Some("the plugin reached its memory limit of 64KiB")
    );
}
