//! What the gateway says about itself, in words.

use super::{labelled, lasting, number, sentence, several, word};
use serde_json::Value;

/// Characters of a digest that tell two settings apart.
const DIGEST: usize = 12;

pub(super) fn birth(event: &Value) -> String {
    let open = open_operations(event, "/data/birth/open_operations");
    sentence(
        "gateway started".to_owned(),
        [
            labelled(event, "version", "/data/birth/version"),
            open,
            new_epoch(event),
        ],
    )
}

/// That a new store begins with a new epoch is nothing to say.
fn new_epoch(event: &Value) -> Option<String> {
    let reason = word(event, "/data/birth/new_epoch").filter(|reason| reason != "created")?;
    Some(format!("new epoch: {}", reason.replace('_', " ")))
}

pub(super) fn heartbeat(event: &Value) -> String {
    let up = number(event, "/data/heartbeat/up_s").map(|up| format!("up for {}", lasting(up)));
    let open = open_operations(event, "/data/heartbeat/open_operations");
    sentence("gateway is alive".to_owned(), [up, open])
}

fn open_operations(event: &Value, place: &str) -> Option<String> {
    let open = event.pointer(place)?.as_array()?.len();
    (open > 0).then(|| format!("{} open", several(open, "operation")))
}

pub(super) fn clock(event: &Value) -> String {
    let delta = number(event, "/data/change/delta_s").filter(|delta| *delta != 0.0);
    let moved = delta.map(|delta| {
        let way = if delta < 0.0 { "back" } else { "forward" };
        format!("set {way} by {}", lasting(delta.abs()))
    });
    let head = match word(event, "/data/change/kind").as_deref() {
        Some("synchronised") => "the clock is synchronised",
        Some("lost") => "the clock is no longer synchronised",
        _ => "the clock jumped",
    };
    sentence(head.to_owned(), [moved])
}

pub(super) fn device(event: &Value) -> String {
    let name = word(event, "/data/connection/name").unwrap_or_else(|| "device".into());
    match word(event, "/data/connection/state").as_deref() {
        Some("good") => format!("{name} answers again"),
        Some("lost") => {
            let why = word(event, "/data/connection/error").unwrap_or_else(|| "no answer".into());
            format!("{name} lost: {why}")
        }
        _ => name,
    }
}

pub(super) fn config(event: &Value) -> String {
    let short = |place: &str| {
        let digest = word(event, place)?;
        let digest = digest.strip_prefix("sha256:").unwrap_or(&digest);
        Some(digest.chars().take(DIGEST).collect::<String>())
    };
    sentence(
        "other settings are in force".to_owned(),
        [
            short("/data/config/after"),
            short("/data/config/before").map(|before| format!("before {before}")),
        ],
    )
}

pub(super) fn delivery(event: &Value) -> String {
    let to = word(event, "/data/delivery/destination").unwrap_or_else(|| "the MES".into());
    let count = word(event, "/data/delivery/count").unwrap_or_default();
    let detail = word(event, "/data/delivery/detail");
    let code = word(event, "/data/delivery/last_code");
    // The pause itself is one; a number is worth saying only for a destination that comes and goes.
    let again = (!matches!(count.as_str(), "" | "0" | "1"))
        .then(|| format!("{count} pauses since the last alert"));
    match word(event, "/data/delivery/kind").as_deref() {
        Some("paused") => sentence(format!("delivery to {to} is paused"), [detail, again]),
        Some("resumed") => sentence(format!("delivery to {to} goes on"), [again]),
        Some("dead_letter") => sentence(
            format!("{to} refused events, {count} are kept aside"),
            [code, detail],
        ),
        Some("buffer_high") => {
            let used = number(event, "/data/delivery/buffer_used_fraction");
            let used = used.map(|used| format!("{:.0} % used", used * 100.0));
            sentence("the buffer is filling up".to_owned(), [used, detail])
        }
        Some("buffer_ok") => {
            let used = number(event, "/data/delivery/buffer_used_fraction");
            let used = used.map(|used| format!("{:.0} % used", used * 100.0));
            sentence("the buffer has room again".to_owned(), [used, detail])
        }
        Some("buffer_refused") => sentence("nothing could be stored".to_owned(), [detail]),
        Some("new_epoch") => sentence("numbering began anew".to_owned(), [detail]),
        Some("dropped") => {
            let uplink = word(event, "/data/delivery/destination");
            let uplink = uplink
                .map(|uplink| format!(" for {uplink}"))
                .unwrap_or_default();
            sentence(
                format!("events{uplink} were dropped, {count} of them"),
                [detail],
            )
        }
        _ => sentence(format!("delivery to {to} needs somebody"), [code, detail]),
    }
}
