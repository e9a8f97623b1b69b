//! Conditions of the settings: CEL over the tags of one machine, three-valued.
//!
//! Compiled and type-checked once; evaluated only when something that they refer to changes. A tag of bad quality is an
//! undeclared variable to CEL, and CEL's error-absorbing `&&` and `||` over it are Kleene's logic: the result is *unknown*.

mod check;
mod scope;

pub use check::Type;
pub use scope::Scope;

use cel::common::ast::{Expr, IdedExpr};
use cel::common::types::CelBool;
use cel::{Context, ExecutionError, ParseErrors, Program};
use std::collections::BTreeSet;

/// What a condition says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Something it needs is not known: it neither holds nor does not.
    #[default]
    Unknown,
}

impl Known {
    /// `None` when unknown.
    #[must_use]
    pub fn value(self) -> Option<bool> {
        match self {
            Known::True => Some(true),
            Known::False => Some(false),
            Known::Unknown => None,
        }
    }
}

/// What a condition may refer to besides tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The equipment's state.
    pub state: bool,
    /// The equipment's mode.
    pub mode: bool,
    /// `changed()` and `delta()`: not with a debounce, since a pulse cannot hold.
    pub pulses: bool,
}

impl Allowed {
    /// Everything.
    pub const ALL: Allowed = Allowed {
        state: true,
        mode: true,
        pulses: true,
    };
}

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    expression: IdedExpr,
    /// Machine-local numbers of the tags it refers to.
    pub tags: BTreeSet<usize>,
    /// It refers to `state`.
    pub uses_state: bool,
    /// It refers to `mode`.
    pub uses_mode: bool,
    /// It uses `changed` or `delta`.
    pub uses_pulses: bool,
}

/// Longest condition in bytes: past that nobody understands it, and parsing must stay bounded.
const MAX_LENGTH: usize = 2_000;
/// Deepest nesting of brackets: the parser recurses.
const MAX_DEPTH: usize = 40;

impl Condition {
    /// Compiles and type-checks `source` over the tags of `scope`.
    ///
    /// # Errors
    /// What is wrong, in words, with the place inside the condition where that is known.
    pub fn compile(source: &str, scope: &Scope, allowed: Allowed) -> Result<Condition, String> {
        let expression = parse(source)?;
        let mut found = check::Checker::new(scope, allowed);
        let kind = found.type_of(&expression)?;
        if kind != Type::Bool {
            return Err(format!(
                "`{source}` is {} and not a condition that is true or false",
                kind.words()
            ));
        }
        let uses = found.finish();
        Ok(Condition {
            expression: with_pulses_as_variables(expression),
            tags: uses.tags,
            uses_state: uses.state,
            uses_mode: uses.mode,
            uses_pulses: uses.pulses,
        })
    }
}

/// Evaluates conditions. Holds the prepared CEL context, which is costly to make.
pub struct Evaluator {
    root: Context<'static, 'static>,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evaluator")
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        let mut root = Context::default();
        // Neither name is taken by the standard library, so adding cannot fail; `check` refuses unknown functions anyway.
        root.add_function("bit", |word: i64, n: i64| -> bool {
            (0..64).contains(&n) && (word >> n) & 1 == 1
        })
        .ok();
        root.add_function("mask", |word: i64, mask: i64| -> i64 { word & mask })
            .ok();
        Evaluator { root }
    }
}

impl Evaluator {
    /// What `condition` says about `scope` now. An evaluation that fails otherwise than by missing data (a division by
    /// zero) is unknown, too; `failed` is counted up then.
    #[must_use]
    pub fn evaluate(&self, condition: &Condition, scope: &Scope, failed: &mut u64) -> Known {
        let root: &Context<'_, '_> = &self.root;
        let mut inner = root.new_inner_scope();
        inner.set_variable_resolver(scope);
        match cel::Value::resolve_val(&condition.expression, &inner) {
            Ok(value) => match value.as_ref().downcast_ref::<CelBool>().map(|b| *b.inner()) {
                Some(true) => Known::True,
                Some(false) => Known::False,
                None => Known::Unknown,
            },
            Err(ExecutionError::UndeclaredReference(_)) => Known::Unknown,
            Err(_) => {
                *failed += 1;
                Known::Unknown
            }
        }
    }
}

fn parse(source: &str) -> Result<IdedExpr, String> {
    if source.len() > MAX_LENGTH {
        return Err(format!(
            "the condition has {} characters: at most {MAX_LENGTH}",
            source.len()
        ));
    }
    if nesting(source) > MAX_DEPTH {
        return Err(format!("the condition nests deeper than {MAX_DEPTH}"));
    }
    let program = Program::compile(source)
        .map_err(|error| format!("`{source}` is not a condition: {}", in_words(&error)))?;
    Ok(program.expression().clone())
}

/// How deep the parser would have to go: brackets, signs in a row, and every `?`, since each nests in the one before.
fn nesting(source: &str) -> usize {
    let (mut open, mut signs, mut choices, mut deepest) = (0usize, 0usize, 0usize, 0usize);
    for letter in source.chars() {
        match letter {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        signs = match letter {
            '!' | '-' => signs + 1,
            _ if letter.is_whitespace() => signs,
            _ => 0,
        };
        deepest = deepest.max(open + signs + choices);
    }
    deepest
}

/// The first error of the parser in words: where, and what it did not expect there.
fn in_words(errors: &ParseErrors) -> String {
    let Some(first) = errors.errors.first() else {
        return "it cannot be read".into();
    };
    let (line, column) = first.pos;
    let place = match line {
        ..=1 => format!("at character {column}"),
        line => format!("in its line {line}, at character {column}"),
    };
    let said = first.msg.lines().next().unwrap_or_default();
    let said = said.strip_prefix("Syntax error: ").unwrap_or(said);
    // What the parser would have taken is a list of its own terms.
    let found = said.split(" expecting ").next().unwrap_or_default();
    let input = ["input ", "recognition error at: ", " at "]
        .into_iter()
        .find_map(|before| found.split_once(before))
        .map(|(_, input)| input.trim_matches('\''));
    match input {
        _ if found.contains("<EOF>") => format!("{place}: unexpected end"),
        Some(input) => format!("{place}: unexpected `{input}`"),
        None => format!("{place}: {said}"),
    }
}

/// `changed(x)` and `delta(x)` become variables of these very names, which the scope resolves: CEL functions see values, not tags.
fn with_pulses_as_variables(mut expression: IdedExpr) -> IdedExpr {
    if let Expr::Call(call) = &mut expression.expr {
        let name = pulse_variable(&call.func_name, &call.args);
        if let Some(name) = name {
            expression.expr = Expr::Ident(name);
            return expression;
        }
        call.args = std::mem::take(&mut call.args)
            .into_iter()
            .map(with_pulses_as_variables)
            .collect();
        call.target = call
            .target
            .take()
            .map(|target| Box::new(with_pulses_as_variables(*target)));
    }
    if let Expr::List(list) = &mut expression.expr {
        list.elements = std::mem::take(&mut list.elements)
            .into_iter()
            .map(with_pulses_as_variables)
            .collect();
    }
    expression
}

fn pulse_variable(function: &str, args: &[IdedExpr]) -> Option<String> {
    match (function, args) {
        (
            "changed" | "delta",
            [
                IdedExpr {
                    expr: Expr::Ident(tag),
                    ..
                },
            ],
        ) => Some(format!("{function}({tag})")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_compiler_panic(source in ".{0,200}") {
            drop(Condition::compile(&source, &scope(), Allowed::ALL));
        }
    }
}
