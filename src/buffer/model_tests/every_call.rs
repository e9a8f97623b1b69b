//! Short lives of a store, stopped, broken or filled up at *every* call that changes something, each with several fates after
//! it: what lies between any two calls is a state that the next start accepts.

use super::super::disk::memory::{Memory, Plan};
use super::place::Place;
use super::trial::Trial;

/// Lives, each of some 100 to 200 calls.
const LIVES: u64 = 4;
/// What may come after the same failure: a kill, a power cut that leaves this or that, going on.
const FATES: u64 = 5;

/// What a life is made of, by the fate that follows a failure.
type Script = fn(&mut Trial, u64);

/// Plays a life with this plan; returns how many calls it took.
fn play(script: Script, life: u64, fate: u64, plan: &Plan) -> u64 {
    let disk = Memory::new(life ^ fate);
    disk.plan(plan.clone());
    let mut trial = Trial::before(life, Place::Memory(disk.clone()));
    script(&mut trial, fate);
    let calls = disk.calls();
    trial.finish();
    calls
}

fn at_every_call(script: Script, kind: &str, plan: impl Fn(u64) -> Plan) {
    for life in 0..LIVES {
        let calls = play(script, life, 0, &Plan::default());
        assert!(calls > 50, "{calls} calls");
        for call in 1..=calls {
            for fate in 0..FATES {
                println!("{kind} life {life} call {call} fate {fate}");
                play(script, life, fate, &plan(call));
            }
        }
    }
}

fn cut(call: u64) -> Plan {
    Plan {
        cut: Some(call),
        ..Plan::default()
    }
}

fn broken(call: u64) -> Plan {
    Plan {
        broken: vec![call],
        ..Plan::default()
    }
}

#[test]
fn a_cut_between_any_two_calls_is_accepted() {
    at_every_call(Trial::script, "cut", cut);
}

#[test]
fn a_failure_of_any_one_call_is_survived() {
    at_every_call(Trial::script, "broken", broken);
}

#[test]
fn a_cut_at_any_call_of_parking_is_accepted() {
    at_every_call(Trial::parking_script, "parking cut", cut);
}

#[test]
fn a_failure_of_any_call_of_parking_is_survived() {
    at_every_call(Trial::parking_script, "parking broken", broken);
}
