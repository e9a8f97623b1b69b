//! Stamps of the press itself: where they lie on our clock, and when they are not believed. By a clock that stands.

use super::peer::{Server, python};
use super::press::{Press, good, said, settings_of};
use millgate::clock::Clock;
use millgate::model::{BadReason, BootTime, Quality, Sample, Stamp, UtcTime, Value};
use serde_json::json;

/// The gateway's time: 2026-11-01 06:00 UTC, a day after the boot.
const NOW: Stamp = Stamp {
    boot: BootTime(86_400_000_000_000),
    utc: UtcTime(1_793_512_800_000_000_000),
};

/// What the press says with its stamp `ms` from the gateway's time.
async fn told(press: &mut Press, server: &mut Server, value: f64, ms: i64) -> Sample {
    let unix_ms = NOW.utc.0 / 1_000_000 + ms;
    assert_eq!(
        server.order(&json!({ "stamped": ["Flow", value, unix_ms] })),
        "done"
    );
    press.sample("flow").await
}

/// Milliseconds from the arrival to the stamp of a sample.
fn ago(sample: &Sample) -> i64 {
    // Each answer of a clock that stands is a nanosecond later.
    (sample.stamp.boot.0 - NOW.boot.0).div_euclid(1_000_000)
}

fn pair() -> Option<(Server, Press, tempfile::TempDir)> {
    let server = Server::start(&python()?, &json!({}));
    let state = tempfile::tempdir().unwrap();
    let how = format!(
        "endpoint: \"opc.tcp://127.0.0.1:{}\", insecure: true",
        server.port
    );
    let device = "lost_after: 60s\n    timestamps: source\n    max_skew: 5s";
    let tags = ["flow: { node: \"p:s=Flow\", type: f64 }"];
    let text = settings_of(state.path(), &how, device, &tags);
    let press = Press::start_at(&text, 64, &Clock::manual(NOW));
    Some((server, press, state))
}

#[tokio::test]
async fn a_stamp_within_the_skew_lies_where_it_belongs() {
    let Some((mut server, mut press, _state)) = pair() else {
        return;
    };
    // Stamped months ago.
    assert_eq!(
        press.sample("flow").await.quality,
        Quality::Bad(BadReason::Stamp)
    );
    let arrived = told(&mut press, &mut server, 1.0, -1_100).await;
    assert_eq!(
        (said(&arrived), ago(&arrived)),
        (good(Value::Float(1.0)), 0)
    );
    let newest = told(&mut press, &mut server, 2.0, -1_000).await;
    assert_eq!(ago(&newest), 0);
    let late = told(&mut press, &mut server, 3.0, -1_300).await;
    assert_eq!((said(&late), ago(&late)), (good(Value::Float(3.0)), -300));
    assert_eq!(press.health().skewed.get(), 0);
    press.stop().await;
}

#[tokio::test]
async fn a_clock_ten_minutes_off_is_not_used_and_counted() {
    let Some((mut server, mut press, _state)) = pair() else {
        return;
    };
    press.sample("flow").await;
    told(&mut press, &mut server, 1.0, -600_400).await;
    told(&mut press, &mut server, 2.0, -600_300).await;
    let behind = told(&mut press, &mut server, 3.0, -600_600).await;
    assert_eq!((said(&behind), ago(&behind)), (good(Value::Float(3.0)), 0));
    assert!(press.health().skewed.get() > 0);
    let ahead = told(&mut press, &mut server, 4.0, 600_000).await;
    assert_eq!(said(&ahead), (None, Quality::Bad(BadReason::Stamp)));
    press.stop().await;
}

#[tokio::test]
async fn stamps_that_no_clock_shows_make_their_values_bad() {
    let Some((mut server, mut press, _state)) = pair() else {
        return;
    };
    press.sample("flow").await;
    for (value, unix_ms) in [(1.0, -11_644_473_599_000_i64), (2.0, 253_402_300_799_000)] {
        let stamped = server.order(&json!({ "stamped": ["Flow", value, unix_ms] }));
        assert_eq!(stamped, "done");
        let sample = press.sample("flow").await;
        assert_eq!(
            said(&sample),
            (None, Quality::Bad(BadReason::Stamp)),
            "{unix_ms}"
        );
    }
    press.stop().await;
}
