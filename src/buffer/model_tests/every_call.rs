//! Short lives of a store, stopped, broken or filled up at *every* call that changes something, each with several fates after
//! it: what lies between any two calls is a state that the next start accepts.

use super::super::disk::memory::{Memory, Plan};
use super::place::Place;
use super::trial::Trial;

/// Lives, each of some 100 to 200 calls.
const LIVES: u64 = 4;
/// What may come after the same failure: a kill, a power cut that leaves this or that, going on.
const FATES: u64 = 5;

/// Plays a life with this plan; returns how many calls it took.
fn play(life: u64, fate: u64, plan: &Plan) -> u64 {
    let disk = Memory::new(life ^ fate);
    disk.plan(plan.clone());
    let mut trial = Trial::before(life, Place::Memory(disk.clone()));
    trial.script(fate);
    let calls = disk.calls();
    trial.finish();
    calls
}

fn at_every_call(kind: &str, plan: impl Fn(u64) -> Plan) {
    for life in 0..LIVES {
        let calls = play(life, 0, &Plan::default());
        assert!(calls > 50, "{calls} calls");
        for call in 1..=calls {
            for fate in 0..FATES {
                println!("{kind} life {life} call {call} fate {fate}");
                play(life, fate, &plan(call));
            }
        }
    }
}

#[test]
fn a_cut_between_any_two_calls_is_accepted() {
    at_every_call("cut", |call| Plan {
        cut: Some(call),
        ..Plan::default()
    });
}

#[test]
fn a_failure_of_any_one_call_is_survived() {
    at_every_call("broken", |call| Plan {
        broken: vec![call],
        ..Plan::default()
    });
}
