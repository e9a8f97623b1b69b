//! A thousand connections that break at random moments, with an oracle that counts every id.

use super::broker::{Broker, Manner, Mes, Script, Version};
use super::mqtt_mes;
use super::oracle::{Oracle, events};
use super::run::{deliver_all, mqtt, quick};
use millgate::deliver::Timing;
use millgate::settings::Uplink;
use serde_json::json;
use std::time::Duration;

const RECONNECTS: usize = 1_000;
const WINDOW: usize = 16;

/// Waits of a millisecond: the connections are to break a thousand times, not to wait.
pub(super) fn hasty() -> Timing {
    Timing {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(1),
        ..quick()
    }
}

fn scripts(random: &mut fastrand::Rng, mes: Option<&Mes>) -> Vec<Script> {
    let mut scripts: Vec<Script> = (0..RECONNECTS)
        .map(|_| Script {
            session_present: random.bool(),
            manner: Manner::CutBefore(random.usize(1..=2 * WINDOW)),
            mes: mes.cloned(),
            ..Script::default()
        })
        .collect();
    scripts.push(Script {
        mes: mes.cloned(),
        ..Script::default()
    });
    scripts
}

async fn survive(version: Version, mes: Option<Mes>) {
    let seed = fastrand::u64(..);
    println!("seed {seed}, {version:?}");
    let mut random = fastrand::Rng::with_seed(seed);
    let oracle = Oracle::default();
    // Enough for each connection to break: it is cut within twice a window.
    let records = events(40_000);
    let scripts = scripts(&mut random, mes.as_ref());
    let broker = Broker::start(version, scripts, oracle.clone()).await;
    let waits_for_the_mes = mes.is_some();
    let uplink: Uplink = match mes {
        Some(_) => mqtt_mes::uplink(&broker, version),
        None => mqtt(json!({
            "url": broker.url(), "version": version.number(), "window": WINDOW
        })),
    };
    let health = deliver_all(&uplink, hasty(), &records, &oracle).await;
    assert_eq!(broker.connections(), RECONNECTS + 1);
    oracle.check_repeats(&records, WINDOW * RECONNECTS);
    // A MES whose word got lost is asked again on the same connection, after a while.
    oracle.check_repeats_by_connection(WINDOW, !waits_for_the_mes);
    assert!(broker.most_outstanding() <= WINDOW);
    assert_eq!(health.filtered.get(), 0);
}

#[tokio::test]
async fn a_thousand_broken_connections_lose_nothing_and_repeat_a_window_each() {
    for version in Version::BOTH {
        survive(version, None).await;
    }
}

#[tokio::test]
async fn the_same_where_the_word_of_the_mes_counts() {
    for (version, mes) in [(Version::V3, Mes::SpeaksEarly), (Version::V5, Mes::Speaks)] {
        survive(version, Some(mes)).await;
    }
}
