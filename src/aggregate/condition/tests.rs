//! Conditions over tags of every kind: what they say, and what is refused.

use super::*;
use crate::model::{Value, ValueKind};

fn scope() -> Scope {
    let mut scope = Scope::new([
        ("status", ValueKind::Int),
        ("pressure", ValueKind::Float),
        ("door", ValueKind::Bool),
        ("order_no", ValueKind::Text),
    ]);
    (0..4).for_each(|local| scope.watch(local));
    scope.set(0, Some(Value::Int(0b1010_0001)));
    scope.set(1, Some(Value::Float(12.5)));
    scope.set(3, Some(Value::Text("WO-1".into())));
    scope
}

#[track_caller]
fn check(source: &str, expected: Known) {
    let scope = scope();
    let condition = Condition::compile(source, &scope, Allowed::ALL).expect(source);
    let mut failed = 0;
    assert_eq!(
        Evaluator::default().evaluate(&condition, &scope, &mut failed),
        expected,
        "{source}"
    );
}

#[test]
fn conditions_are_kleene_logic_over_what_is_known() {
    // `door` was never read.
    for (source, expected) in [
        ("bit(status, 0)", Known::True),
        ("bit(status, 1)", Known::False),
        ("mask(status, 0xF0) == 160", Known::True),
        ("pressure > 12", Known::True),
        ("pressure * 2.0 < 12.0", Known::False),
        (
            "order_no == 'WO-1' && order_no.startsWith('WO')",
            Known::True,
        ),
        ("status in [1, 161]", Known::True),
        ("door", Known::Unknown),
        ("!door", Known::Unknown),
        ("door && bit(status, 0)", Known::Unknown),
        ("door && bit(status, 1)", Known::False),
        ("bit(status, 1) && door", Known::False),
        ("door || bit(status, 0)", Known::True),
        ("bit(status, 0) || door", Known::True),
        ("door || bit(status, 1)", Known::Unknown),
        ("door ? true : false", Known::Unknown),
        ("door == true", Known::Unknown),
        ("changed(door)", Known::Unknown),
        ("changed(status)", Known::False),
        ("delta(status) == 0", Known::True),
        ("delta(pressure) == 0.0", Known::True),
        ("status / 0 == 1", Known::Unknown),
    ] {
        check(source, expected);
    }
}

#[test]
fn a_change_is_a_pulse_of_one_instant() {
    let mut scope = scope();
    let changed = Condition::compile(
        "changed(status) && delta(status) == 2",
        &scope,
        Allowed::ALL,
    )
    .unwrap();
    let evaluator = Evaluator::default();
    scope.set(0, Some(Value::Int(0b1010_0011)));
    assert_eq!(evaluator.evaluate(&changed, &scope, &mut 0), Known::True);
    scope.end_of_instant();
    assert_eq!(evaluator.evaluate(&changed, &scope, &mut 0), Known::False);
}

#[test]
fn a_change_over_a_gap_is_a_change_and_the_same_value_is_none() {
    let mut scope = scope();
    let changed = Condition::compile("changed(status)", &scope, Allowed::ALL).unwrap();
    let evaluator = Evaluator::default();
    scope.set(0, None);
    assert_eq!(evaluator.evaluate(&changed, &scope, &mut 0), Known::Unknown);
    scope.set(0, Some(Value::Int(0b1010_0001)));
    assert_eq!(evaluator.evaluate(&changed, &scope, &mut 0), Known::False);
    scope.set(0, None);
    scope.set(0, Some(Value::Int(1)));
    assert_eq!(evaluator.evaluate(&changed, &scope, &mut 0), Known::True);
}

#[test]
fn what_cannot_be_meant_is_refused_with_words() {
    for (source, words) in [
        ("bit(staus, 0)", "`staus`"),
        ("status", "a whole number"),
        ("pressure + 1 > 2.0", "write 1.0"),
        ("status && true", "`&&`"),
        ("order_no > 3", "cannot be compared"),
        ("order_no == 3", "cannot be compared"),
        ("bit(pressure, 1)", "whole number"),
        ("bit(status, 64)", "0 to 63"),
        ("changed(status + 1)", "name of a tag"),
        ("foo(status)", "`foo`"),
        (
            "status == ",
            "not a condition: at character 11: unexpected end",
        ),
        ("status == )", "at character 11: unexpected `)`"),
        ("status == 1 1", "at character 13: unexpected `1`"),
        ("status # 1", "at character 8: unexpected `#`"),
        ("(status == 1", "at character 13: unexpected end"),
        ("[1, 2].exists(x, x == status)", "not known in conditions"),
        ("status in [1, 'a']", "cannot be compared"),
        ("true ? 1 : 2.0", "one kind"),
        // Type errors in the branch that an evaluation would not take count as well.
        ("false && 1 + 1.5 > 2.0", "write 1.0"),
    ] {
        let error = Condition::compile(source, &scope(), Allowed::ALL).unwrap_err();
        assert!(error.contains(words), "{source}: {error}");
    }
    let flat = vec!["!bit(status, 0)"; 60].join(" && ");
    assert!(Condition::compile(&flat, &scope(), Allowed::ALL).is_ok());
    let nested = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    assert!(Condition::compile(&nested, &scope(), Allowed::ALL).is_err());
}

#[test]
fn a_rule_of_the_state_cannot_depend_on_the_state_or_the_mode_and_one_of_the_mode_not_on_the_mode()
{
    let of_state = Allowed {
        state: false,
        mode: false,
        pulses: false,
    };
    let of_mode = Allowed {
        state: true,
        ..of_state
    };
    for (source, allowed) in [
        ("state == 'RUNNING' && door", of_state),
        ("mode == 'SETUP'", of_state),
        ("door || mode == 'SETUP'", of_mode),
    ] {
        let error = Condition::compile(source, &scope(), allowed).unwrap_err();
        assert!(
            error.contains("would depend on itself"),
            "{source}: {error}"
        );
    }
    assert!(Condition::compile("state == 'RUNNING'", &scope(), of_mode).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(source in ".{0,200}") {
        drop(Condition::compile(&source, &scope(), Allowed::ALL));
    }
}

/// A machine whose tag `x` has no type in the settings.
fn untyped(value: Option<Value>) -> Scope {
    let mut scope = Scope::new([("x", ValueKind::Any), ("n", ValueKind::Int)]);
    (0..2).for_each(|local| scope.watch(local));
    scope.set(0, value);
    scope.set(1, Some(Value::Int(2)));
    scope
}

#[test]
fn a_tag_without_a_type_goes_with_everything_that_it_turns_out_to_be() {
    for (source, value, expected, failures) in [
        ("x", Value::Bool(true), Known::True, 0),
        ("!x", Value::Bool(true), Known::False, 0),
        ("x", Value::Int(1), Known::Unknown, 1),
        ("x && n == 2", Value::Bool(true), Known::True, 0),
        ("x == 'RUN'", Value::Text("RUN".into()), Known::True, 0),
        ("x == 'RUN'", Value::Int(3), Known::Unknown, 1),
        ("x != 'RUN'", Value::Int(3), Known::Unknown, 1),
        (
            "x.startsWith('R')",
            Value::Text("RUN".into()),
            Known::True,
            0,
        ),
        ("x.startsWith('R')", Value::Bool(true), Known::Unknown, 1),
        ("x > 3", Value::Int(4), Known::True, 0),
        ("x > 3", Value::Float(3.5), Known::True, 0),
        ("x > 3", Value::Text("4".into()), Known::Unknown, 1),
        ("x == n", Value::Float(2.0), Known::True, 0),
        ("x in [1, 2]", Value::Int(2), Known::True, 0),
        ("x in [1, 2]", Value::Text("2".into()), Known::Unknown, 1),
        ("bit(x, 1)", Value::Int(2), Known::True, 0),
        ("bit(x, 1)", Value::Float(2.0), Known::Unknown, 1),
        // Whole and decimal numbers do not add: what is written beside the tag says which it must be.
        ("x + 1 > 3", Value::Int(3), Known::True, 0),
        ("x + 1 > 3", Value::Float(3.0), Known::Unknown, 1),
        ("1.0 + x > 3.0", Value::Float(3.0), Known::True, 0),
        ("1.0 + x > 3.0", Value::Int(3), Known::Unknown, 1),
        ("double(x) + 1.0 > 3.0", Value::Int(3), Known::True, 0),
        ("double(x) + 1.0 > 3.0", Value::Float(3.0), Known::True, 0),
        ("x + x > 3", Value::Float(3.0), Known::True, 0),
        ("(n == 2 ? x : 1) == 5", Value::Int(5), Known::True, 0),
        ("delta(x) == 0", Value::Float(3.0), Known::True, 0),
        ("delta(x) == 0", Value::Text("a".into()), Known::Unknown, 1),
        ("changed(x)", Value::Text("a".into()), Known::False, 0),
    ] {
        let scope = untyped(Some(value.clone()));
        let condition = Condition::compile(source, &scope, Allowed::ALL).expect(source);
        let mut failed = 0;
        let known = Evaluator::default().evaluate(&condition, &scope, &mut failed);
        assert_eq!(
            (known, failed),
            (expected, failures),
            "{source} with {value:?}"
        );
    }
}

#[test]
fn a_tag_without_a_type_that_is_not_there_fails_nothing() {
    for source in ["x", "x > 3", "x == 'RUN'", "bit(x, 1)"] {
        let scope = untyped(None);
        let condition = Condition::compile(source, &scope, Allowed::ALL).expect(source);
        let mut failed = 0;
        let known = Evaluator::default().evaluate(&condition, &scope, &mut failed);
        assert_eq!((known, failed), (Known::Unknown, 0), "{source}");
    }
}

#[test]
fn what_no_type_could_mean_is_refused_though_the_tag_has_none() {
    for (source, words) in [
        ("x + true == x", "cannot be calculated"),
        ("x < true", "cannot be compared"),
        ("n + x", "a whole number"),
        ("x % 2.0 == 0.0", "cannot be calculated"),
        ("n in x", "`in` needs a list"),
    ] {
        let error = Condition::compile(source, &untyped(None), Allowed::ALL).unwrap_err();
        assert!(error.contains(words), "{source}: {error}");
    }
}

#[test]
fn a_tag_without_a_type_may_change_between_whole_and_decimal() {
    let mut scope = untyped(Some(Value::Int(3)));
    let condition = Condition::compile("delta(x) > 0.4", &scope, Allowed::ALL).unwrap();
    scope.end_of_instant();
    scope.set(0, Some(Value::Float(3.5)));
    assert_eq!(
        Evaluator::default().evaluate(&condition, &scope, &mut 0),
        Known::True
    );
}
