//! Conditions of the settings: CEL over the tags of one machine, three-valued.
//!
//! Compiled and type-checked once; evaluated only when something that they refer to changes. A tag of bad quality is an
//! undeclared variable to CEL, and CEL's error-absorbing `&&` and `||` over it are Kleene's logic: the result is *unknown*.

mod check;
pub mod hopeless;
mod parts;
mod scope;

pub use check::Type;
pub use parts::PartSaid;
pub use scope::Scope;

use cel::common::ast::{Expr, IdedExpr};
use cel::common::types::CelBool;
use cel::{Context, ExecutionError, ParseErrors, Program};
use check::Expected;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

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
    source: String,
    expression: IdedExpr,
    /// Tags whose type only the device knows, and what they must be here.
    expected: Vec<(usize, Expected)>,
    /// That one of them was not, or that the evaluation failed otherwise, was said.
    complained: AtomicBool,
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
        let kind = found.is_condition(&expression)?;
        if kind != Type::Bool {
            return Err(format!(
                "`{source}` is {} and not a condition that is true or false",
                kind.words()
            ));
        }
        let uses = found.finish();
        Ok(Condition {
            source: source.to_owned(),
            expected: uses.expected,
            complained: AtomicBool::new(false),
            expression: with_pulses_as_variables(expression),
            tags: uses.tags,
            uses_state: uses.state,
            uses_mode: uses.mode,
            uses_pulses: uses.pulses,
        })
    }

    /// What is wrong with a tag whose type only the device knows, if something is.
    fn misfit(&self, scope: &Scope) -> Option<String> {
        let misfits = |(local, expected): &&(usize, Expected)| {
            let value = scope.value(*local);
            value.is_some_and(|value| !expected.fits(value))
        };
        let (local, expected) = self.expected.iter().find(misfits)?;
        let name = scope.tag_names().nth(*local).unwrap_or_default();
        Some(format!(
            "`{name}` is not {}: write its `type:`",
            expected.words()
        ))
    }

    /// Says once what keeps the condition from being known.
    fn complain(&self, what: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(condition = %self.source, "the condition is not known: {what}");
        }
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
    /// zero, a value of another type than is needed) is unknown, too; `failed` is counted up then.
    #[must_use]
    pub fn evaluate(&self, condition: &Condition, scope: &Scope, failed: &mut u64) -> Known {
        if let Some(misfit) = condition.misfit(scope) {
            condition.complain(&misfit);
            *failed += 1;
            return Known::Unknown;
        }
        let root: &Context<'_, '_> = &self.root;
        let mut inner = root.new_inner_scope();
        inner.set_variable_resolver(scope);
        match cel::Value::resolve_val(&condition.expression, &inner) {
            Ok(value) => match value.as_ref().downcast_ref::<CelBool>().map(|b| *b.inner()) {
                Some(true) => Known::True,
                Some(false) => Known::False,
                None => {
                    condition.complain("it is neither true nor false");
                    *failed += 1;
                    Known::Unknown
                }
            },
            Err(ExecutionError::UndeclaredReference(_)) => Known::Unknown,
            Err(error) => {
                condition.complain(&error.to_string());
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
mod tests;
