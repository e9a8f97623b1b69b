//! What events other than operations have as their own: equipment state, counter, birth of the gateway, device link.

use super::cut::{Cut, Lost, Part};
use super::wire::maybe;
use super::wire::{NotYet, ReferenceOut, Shown, TagValue, Text, Time, reference, text};
use crate::model::{
    Birth, ConnectionReport, ConnectionState, CounterReport, Event, Position, StateReport,
};
use serde::Serialize;
use uuid::Uuid;

/// `data.state`
#[derive(Serialize)]
pub(super) struct StateOut<'a> {
    current: &'static str,
    previous: Option<&'static str>,
    previous_duration_s: Option<f64>,
    mode: &'static str,
    previous_mode: Option<&'static str>,
    substate: Option<Text<'a>>,
    native: NativeOut<'a>,
    reason: Option<ReasonOut<'a>>,
    active_operation: Option<Uuid>,
    since: Time,
}

#[derive(Serialize)]
struct NativeOut<'a> {
    model: &'static str,
    values: Vec<NativeValue<'a>>,
}

#[derive(Serialize)]
struct NativeValue<'a> {
    tag: Text<'a>,
    value: Option<TagValue<'a>>,
}

/// A reason as the machine gives it; its place in a catalogue of reasons is not known yet.
#[derive(Serialize)]
struct ReasonOut<'a> {
    code: Text<'a>,
    catalogue: NotYet,
    catalogue_version: NotYet,
    text: NotYet,
    category: NotYet,
    source: NotYet,
}

/// What changed at the equipment.
pub(super) fn state<'a>(report: &'a StateReport, cut: Cut, lost: &Lost) -> StateOut<'a> {
    let native = cut.list(&report.native, lost, Part::Native).iter();
    StateOut {
        current: report.current.word(),
        previous: report.previous.map(|state| state.word()),
        previous_duration_s: maybe(report.previous_duration_s),
        mode: report.mode.word(),
        previous_mode: report.previous_mode.map(|mode| mode.word()),
        substate: text(&report.substate),
        native: NativeOut {
            model: "tags",
            values: native
                .map(|native| NativeValue {
                    tag: Text(&native.tag),
                    value: native.value.as_ref().map(TagValue),
                })
                .collect(),
        },
        reason: report.reason.as_ref().map(|reason| ReasonOut {
            code: Text(&reason.code),
            catalogue: NotYet,
            catalogue_version: NotYet,
            text: NotYet,
            category: NotYet,
            source: NotYet,
        }),
        active_operation: report.active_operation,
        since: Time(report.since),
    }
}

/// `data.counter` and what stands beside it.
#[derive(Serialize)]
pub(super) struct CountedOut<'a> {
    counter: CounterOut<'a>,
    order: Option<ReferenceOut<'a>>,
    product: NotYet,
    shift: NotYet,
}

#[derive(Serialize)]
struct CounterOut<'a> {
    name: Text<'a>,
    counts: &'static str,
    book: bool,
    delta: u64,
    delta_max: Option<u64>,
    total: u64,
    total_since: &'static str,
    raw_from: i64,
    raw_to: i64,
    modulus: Option<u64>,
    wraps: u32,
    resets: u32,
    ambiguous: bool,
    flags: &'static [&'static str],
    from: Time,
    to: Time,
    operation: Option<Uuid>,
}

/// What a counter counted.
pub(super) fn counted(report: &CounterReport) -> CountedOut<'_> {
    CountedOut {
        counter: CounterOut {
            name: Text(&report.name),
            counts: report.counts,
            book: report.book,
            delta: report.delta,
            delta_max: report.delta_max,
            total: report.total,
            total_since: "store creation",
            raw_from: report.raw_from,
            raw_to: report.raw_to,
            modulus: report.modulus,
            wraps: report.wraps,
            resets: report.resets,
            ambiguous: report.ambiguous,
            flags: if report.resets > 0 {
                &["counter_reset"]
            } else {
                &[]
            },
            from: Time(report.from),
            to: Time(report.to),
            operation: report.operation,
        },
        order: reference(&report.order),
        product: NotYet,
        shift: NotYet,
    }
}

/// `data.birth`
#[derive(Serialize)]
pub(super) struct BirthOut<'a> {
    version: &'static str,
    epoch: u32,
    run: Uuid,
    last_sequence: Option<Shown<Position>>,
    boot_id: Text<'a>,
    open_operations: &'a [Uuid],
}

/// The start of a run.
pub(super) fn birth<'a>(event: &Event, report: &'a Birth, cut: Cut, lost: &Lost) -> BirthOut<'a> {
    BirthOut {
        version: report.version,
        epoch: event.position.epoch,
        run: event.run,
        last_sequence: report.last.map(Shown),
        boot_id: Text(&report.boot_id),
        open_operations: cut.list(&report.open_operations, lost, Part::OpenOperations),
    }
}

/// `data.connection`
#[derive(Serialize)]
pub(super) struct ConnectionOut<'a> {
    name: Text<'a>,
    protocol: &'static str,
    state: &'static str,
    since: Time,
    last_good: Option<Time>,
    error: Option<Text<'a>>,
    affected_tags: u32,
}

/// A device that was lost or came back.
pub(super) fn connection(report: &ConnectionReport) -> ConnectionOut<'_> {
    ConnectionOut {
        name: Text(&report.name),
        protocol: report.protocol,
        state: match report.state {
            ConnectionState::Good => "good",
            ConnectionState::Lost => "lost",
        },
        since: Time(report.since.utc),
        last_good: report.last_good.map(Time),
        error: text(&report.error),
        affected_tags: report.affected_tags,
    }
}
