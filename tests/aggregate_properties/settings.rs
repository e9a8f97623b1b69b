//! The operations that the properties are tried on.

/// An operation, and what must be known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    operation: &'static str,
    /// Seconds after an edge until what it does is told.
    pub(crate) settles_in: f64,
    /// Short ones are not told: where a cut hides the end, it may seem long enough.
    pub(crate) counts_short_ones: bool,
    /// What was given up in a loss is begun again after it.
    pub(crate) begins_again: bool,
}

pub(crate) const ALL: &[Kind] = &[
    Kind {
        operation: "
    start: { when: \"run == 1\" }
    end: { when: \"run == 0\" }
    abort: { when: \"fault == 1\" }
    recovery_counter: cycles",
        settles_in: 0.0,
        counts_short_ones: false,
        begins_again: false,
    },
    Kind {
        operation: "
    start: { when: \"run == 1\" }
    end: { when: \"run == 0\" }
    pause: { when: \"hold == 1\" }
    progress_every: 1500ms",
        settles_in: 0.0,
        counts_short_ones: false,
        begins_again: false,
    },
    Kind {
        operation: "
    start: { when: \"run == 1\", debounce: 200ms }
    end: { when: \"run == 0\", debounce: 300ms, trailing: 700ms }
    abort: { when: \"fault == 1\", debounce: 100ms, reason: { value: guard } }
    pause: { when: \"hold == 1\", debounce: 250ms }
    on_next_start: end_and_start
    recovery_counter: cycles",
        settles_in: 0.8,
        counts_short_ones: false,
        begins_again: false,
    },
    Kind {
        operation: "
    start: { when: \"run == 1\" }
    end: { when: \"run == 0\", trailing: 2s }
    abort: { when: \"fault == 1\" }
    pause: { when: \"hold == 1\" }
    min_duration: 1s
    max_duration: 6s
    progress_every: 1s
    recovery_counter: cycles",
        settles_in: 2.1,
        counts_short_ones: true,
        begins_again: false,
    },
    Kind {
        operation: "
    during: \"order != ''\"
    new_when_changed: order
    order: { tag: order }
    pause: { when: \"hold == 1\" }
    progress_every: 2s
    connection_loss: { give_up_after: 3s }",
        settles_in: 0.0,
        counts_short_ones: false,
        begins_again: true,
    },
];

impl Kind {
    pub(crate) fn settings(self) -> String {
        format!(
            "
gateway: {{ id: case-gw01, path: [EXAMPLE, PLANT1, HALL] }}
machine: M1
devices:
  plc:
    modbus_tcp: {{ host: 127.0.0.1 }}
    addresses: zero_based
    tags:
      run: {{ holding: 1, type: u16, every: 100ms }}
      fault: {{ holding: 2, type: u16, every: 100ms }}
      hold: {{ holding: 3, type: u16, every: 100ms }}
      cycles: {{ holding: 4, type: u16, every: 100ms }}
      p: {{ holding: 10, type: f64, every: 100ms, unit: bar }}
      order: {{ holding: 20, type: text, length: 20, every: 100ms }}
equipment:
  state: [ {{ when: \"fault == 1\", is: FAULTED }}, {{ when: \"run == 1\", is: RUNNING }}, {{ is: STOPPED }} ]
  counters: {{ cycles: {{ tag: cycles, counts: cycles, modulus: 65536, max_rate: 20/s }} }}
operations:
  form:{}
    parameters: {{ pressure: {{ tag: p, profile: 10 }} }}
    quality:
      - {{ id: Q1, of: pressure.max, high: 90 }}
      - {{ id: Q2, of: pressure.max, high: 50, per: {} }}
    limits: [ {{ of: pressure, above: 80, hysteresis: 5 }} ]
",
            self.operation,
            if self.operation.contains("progress_every") {
                "progress"
            } else {
                "operation"
            }
        )
    }
}
