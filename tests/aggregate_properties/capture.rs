//! Random plants: strokes of a press that is read every 100 ms, power cuts, and plain nonsense.

use proptest::prelude::*;
use serde_json::json;

/// One stroke, in tenths of a second.
#[derive(Clone, Debug)]
pub(crate) struct Stroke {
    idle: u32,
    run: u32,
    /// Held from, and for how long.
    hold: Option<(u32, u32)>,
    /// A fault at that time breaks it off; it counts no cycle.
    fault: Option<u32>,
    /// Pressure at its peak.
    peak: f64,
    /// The next order begins with it.
    next_order: bool,
}

pub(crate) fn stroke() -> impl Strategy<Value = Stroke> {
    let hold = prop::option::weighted(0.4, (0..30u32, 1..20u32));
    let fault = prop::option::weighted(0.2, 1..30u32);
    (
        1..25u32,
        1..50u32,
        hold,
        fault,
        0.0..100.0f64,
        any::<bool>(),
    )
        .prop_map(|(idle, run, hold, fault, peak, next_order)| Stroke {
            idle,
            run,
            hold,
            fault,
            peak: (peak * 10.0).round() / 10.0,
            next_order,
        })
}

/// The power is off from shortly after a tick, for so many ticks.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    tick: u32,
    ticks: u32,
}

impl Cut {
    pub(crate) fn from(&self) -> f64 {
        f64::from(self.tick) / 10.0 + 0.05
    }

    pub(crate) fn to(&self) -> f64 {
        self.from() + f64::from(self.ticks) / 10.0
    }
}

/// Up to three cuts that do not overlap.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    prop::collection::vec((0..120u32, 1..60u32), 1..4).prop_map(|gaps| {
        let mut tick = 0;
        let mut cuts = Vec::new();
        for (gap, ticks) in gaps {
            tick += gap;
            cuts.push(Cut { tick, ticks });
            tick += ticks + 1;
        }
        cuts
    })
}

/// What the press shows at one tick.
#[derive(Clone, Debug)]
struct Shown {
    run: bool,
    fault: bool,
    hold: bool,
    cycles: u32,
    p: f64,
    order: String,
}

/// Why nobody reads the press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// The gateway has no power.
    Gateway,
    /// Its PLC does not answer.
    Device,
}

/// A press over time, and when nobody reads it.
#[derive(Debug)]
pub(crate) struct World {
    shown: Vec<Shown>,
    pub(crate) cuts: Vec<Cut>,
    away: Away,
}

impl World {
    pub(crate) fn new(strokes: &[Stroke], away: Away, cuts: &[Cut]) -> World {
        let mut shown = Vec::new();
        let mut now = Shown {
            run: false,
            fault: false,
            hold: false,
            cycles: 65_530,
            p: 1.0,
            order: String::new(),
        };
        let mut orders = 0;
        for stroke in strokes {
            shown.extend((0..stroke.idle).map(|_| now.clone()));
            if stroke.next_order {
                orders += 1;
                now.order = if orders % 4 == 0 {
                    String::new()
                } else {
                    format!("WO-{orders}")
                };
            }
            for t in 0..stroke.run {
                let held = |(from, len): (u32, u32)| (from..from + len).contains(&t);
                shown.push(Shown {
                    run: true,
                    fault: stroke
                        .fault
                        .is_some_and(|fault| (fault..fault + 3).contains(&t)),
                    hold: stroke.hold.is_some_and(held),
                    p: stroke.peak * f64::from(t + 1) / f64::from(stroke.run),
                    ..now.clone()
                });
            }
            if stroke.fault.is_none_or(|fault| fault >= stroke.run) {
                now.cycles = (now.cycles + 1) % 65_536;
            }
        }
        shown.extend((0..60).map(|_| now.clone()));
        World {
            shown,
            cuts: cuts.to_vec(),
            away,
        }
    }

    /// As a capture.
    pub(crate) fn lines(&self) -> String {
        self.up_to(self.shown.len())
    }

    /// The first part of it, 0 to 1.
    pub(crate) fn prefix(&self, part: f64) -> String {
        self.up_to((self.shown.len() as f64 * part) as usize)
    }

    fn up_to(&self, ticks: usize) -> String {
        let mut lines = String::new();
        for (tick, shown) in self.shown.iter().take(ticks).enumerate() {
            let t = tick as f64 / 10.0;
            let readings = [
                ("run", json!(u8::from(shown.run))),
                ("fault", json!(u8::from(shown.fault))),
                ("hold", json!(u8::from(shown.hold))),
                ("cycles", json!(shown.cycles)),
                ("p", json!(shown.p)),
                ("order", json!(shown.order)),
            ];
            let silent = |cut: &Cut| (cut.tick + 1..=cut.tick + cut.ticks).contains(&(tick as u32));
            let unread = self.away == Away::Device && self.cuts.iter().any(silent);
            for (tag, value) in readings.into_iter().filter(|_| !unread) {
                lines.push_str(&format!(
                    "{}\n",
                    json!({"t": t, "tag": tag, "value": value})
                ));
            }
            for cut in &self.cuts {
                if cut.tick as usize == tick {
                    lines.push_str(&format!("{}\n", self.turn(cut.from(), true)));
                }
                if (cut.tick + cut.ticks) as usize == tick {
                    lines.push_str(&format!("{}\n", self.turn(cut.to(), false)));
                }
            }
        }
        lines
    }

    fn turn(&self, t: f64, off: bool) -> serde_json::Value {
        match (self.away, off) {
            (Away::Gateway, true) => json!({"t": t, "power": "off"}),
            (Away::Gateway, false) => json!({"t": t, "power": "on"}),
            (Away::Device, true) => json!({"t": t, "device": "plc", "link": "lost"}),
            (Away::Device, false) => json!({"t": t, "device": "plc", "link": "good"}),
        }
    }
}

/// Anything, in any order, with losses, power cuts and a clock that steps.
pub(crate) fn nonsense() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(&["run", "fault", "hold"][..]);
    let line = prop_oneof![
        12 => (tag, 0..2u8).prop_map(|(tag, value)| json!({"tag": tag, "value": value})),
        3 => (0..5u8).prop_map(|value| json!({"tag": "cycles", "value": value})),
        4 => (-1e6..1e6f64).prop_map(|value| json!({"tag": "p", "value": value})),
        3 => prop::sample::select(&["", "WO-1", "WO-2", "\u{1d}\u{0}x"][..]).prop_map(|value| json!({"tag": "order", "value": value})),
        2 => prop::sample::select(&["run", "hold", "order", "p"][..]).prop_map(|tag| json!({"tag": tag, "value": null, "quality": "bad"})),
        2 => any::<bool>().prop_map(|lost| json!({"device": "plc", "link": if lost { "lost" } else { "good" }})),
        1 => any::<bool>().prop_map(|on| json!({"power": if on { "on" } else { "off" }})),
        1 => (-100.0..100.0f64).prop_map(|by| json!({"wall_step": by})),
        1 => any::<bool>().prop_map(|synchronised| json!({"clock": {"synchronised": synchronised}})),
    ];
    prop::collection::vec(
        (
            prop_oneof![2 => Just(0u32), 5 => 1..400u32, 1 => 400..9000u32],
            line,
        ),
        1..120,
    )
    .prop_map(|lines| {
        let mut t = 0;
        let mut text = String::new();
        let mut on = true;
        for (wait, mut line) in lines {
            t += wait;
            // Power goes off and on in turn.
            if let Some(power) = line.get("power") {
                if (power == "on") == on {
                    continue;
                }
                on = !on;
            }
            line["t"] = json!(f64::from(t) / 100.0);
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!(
            "{}\n",
            json!({"t": f64::from(t) / 100.0 + 100.0, "end": true})
        ));
        text
    })
}
