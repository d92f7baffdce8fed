//! What pipelines used.

use sandbar_control::{PipelineUsage, UsageDelta};

use crate::place::{Place, name, with_tenants};

const HOUR: i64 = 3_600_000;
const ALL: (i64, i64) = (0, i64::MAX);

fn used(cpu_ms: u64) -> UsageDelta {
    UsageDelta {
        cpu_ms,
        records_in: 2,
        records_out: 3,
        bytes_in: 4,
        bytes_out: 5,
        state_byte_seconds: 5400,
    }
}

fn cpu(usage: &[PipelineUsage]) -> Vec<(&str, &str, u64)> {
    let shown = usage.iter();
    shown
        .map(|one| (one.tenant.as_str(), one.pipeline.as_str(), one.cpu_ms))
        .collect()
}

pub(crate) async fn what_was_used_is_summed_up_by_the_hour(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b, views, other) = (name("a"), name("b"), name("views"), name("other"));
    for (tenant, pipeline, moment, ms) in [
        (&a, &views, 10 * HOUR, 1),
        (&a, &views, 11 * HOUR - 1, 10),
        (&a, &views, 11 * HOUR, 100),
        (&a, &other, 12 * HOUR, 1000),
        (&b, &views, 11 * HOUR, 10_000),
    ] {
        catalog.add_usage(tenant, pipeline, moment, &used(ms)).await.unwrap();
    }
    let of_a = catalog.usage(Some(&a), ALL, None, 9).await.unwrap();
    assert_eq!(cpu(&of_a), [("a", "other", 1000), ("a", "views", 111)]);
    let views_of_a = &of_a[1];
    assert_eq!((views_of_a.records_in, views_of_a.records_out), (6, 9));
    assert_eq!((views_of_a.bytes_in, views_of_a.bytes_out), (12, 15));
    // Three times 5400 byte-seconds.
    assert_eq!(views_of_a.state_byte_hours, 4);
    let all = catalog.usage(None, ALL, None, 9).await.unwrap();
    assert_eq!(
        cpu(&all),
        [("a", "other", 1000), ("a", "views", 111), ("b", "views", 10_000)]
    );
    assert_eq!(catalog.usage(None, ALL, None, 2).await.unwrap(), all[..2]);
    assert_eq!(catalog.usage(None, ALL, Some((&a, &views)), 2).await.unwrap(), all[2..]);
    for (from, to, ms) in [
        (10 * HOUR + 5, 11 * HOUR, 11),
        (11 * HOUR, 11 * HOUR + 1, 100),
        (10 * HOUR, 11 * HOUR + 1, 111),
    ] {
        let usage = catalog.usage(Some(&a), (from, to), None, 9).await.unwrap();
        assert_eq!(cpu(&usage), [("a", "views", ms)], "{from} {to}");
    }
    assert!(
        catalog
            .usage(Some(&a), (11 * HOUR, 11 * HOUR), None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(catalog.usage(None, (0, 10 * HOUR), None, 9).await.unwrap().is_empty());
    catalog.delete_tenant(&a).await.unwrap();
    assert_eq!(catalog.usage(Some(&a), ALL, None, 9).await.unwrap(), of_a);
}

pub(crate) async fn figures_that_cannot_be_break_no_report(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views, other) = (name("a"), name("views"), name("other"));
    let most = UsageDelta {
        cpu_ms: u64::MAX,
        records_in: u64::MAX,
        records_out: u64::MAX,
        bytes_in: u64::MAX,
        bytes_out: u64::MAX,
        state_byte_seconds: u64::MAX,
    };
    for moment in [0, HOUR, i64::MAX] {
        catalog.add_usage(&a, &views, moment, &most).await.unwrap();
    }
    // As if it had said so for long.
    place
        .meddle("UPDATE usage SET cpu_ms = 9223372036854775000, bytes_in = 4611686018427387903")
        .await;
    for _ in 0..2 {
        catalog.add_usage(&a, &views, 0, &most).await.unwrap();
    }
    catalog.add_usage(&a, &other, 0, &used(7)).await.unwrap();
    let usage = catalog.usage(None, (i64::MIN, i64::MAX), None, 9).await.unwrap();
    assert_eq!((usage[0].cpu_ms, usage[0].records_in), (7, 2));
    assert!(usage[1].cpu_ms > 1 << 63, "{usage:?}");
    assert!(usage[1].bytes_in > 1 << 62, "{usage:?}");
}

pub(crate) async fn nothing_that_many_add_at_once_is_lost(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let catalog = catalog.clone();
            tokio::spawn(async move { catalog.add_usage(&name("a"), &name("views"), HOUR, &used(1)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let usage = catalog.usage(None, ALL, None, 9).await.unwrap();
    assert_eq!((usage[0].cpu_ms, usage[0].records_in), (20, 40));
}
