//! What a condition can never say: `millgate check` warns of conditions that never or always hold, or are never known.
//!
//! Each comparison of a tag with written values is tried with every value that makes a difference to the condition; what is
//! not understood here may say anything. So nothing is said of a condition that could do its work.

use super::parts::written;
use super::{Known, parse};
use crate::settings::nearest;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use std::collections::{BTreeMap, BTreeSet};

/// Most combinations of values that are tried: with more nothing is said. 20,000 take some milliseconds.
const MOST_TRIED: usize = 20_000;
/// Whole numbers up to here are exact as decimal ones: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a variable can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Anything.
    Any,
    /// True or false.
    Bool,
    /// Whole numbers in these limits, inclusive, of so many bits.
    Whole(f64, f64, u32),
    /// Numbers in these limits, inclusive.
    Number(f64, f64),
    /// These words only.
    Words(Vec<String>),
    /// Any text.
    Text,
}

/// A written value.
#[derive(Clone, Debug, PartialEq)]
enum Written {
    Bool(bool),
    Number(f64),
    Text(String),
}

/// What is wrong with a condition, and what was probably meant.
pub type Remark = (String, Option<String>);

/// What is worth a look in a condition whose variables can be what `domain` says.
#[must_use]
pub fn remarks(source: &str, domain: impl Fn(&str) -> Domain) -> Vec<Remark> {
    let Ok(expression) = parse(source) else {
        return Vec::new();
    };
    let mut condition = Tried {
        domain: &domain,
        values: BTreeMap::new(),
        free: BTreeSet::new(),
        remarks: Vec::new(),
    };
    condition.collect(&expression);
    if condition.remarks.is_empty() {
        let whole = condition.whole(source, &expression);
        condition.remarks.extend(whole);
    }
    condition.remarks
}

/// A condition that is being tried.
struct Tried<'a, D> {
    domain: &'a D,
    /// By variable: the values that it is compared with.
    values: BTreeMap<String, Vec<Written>>,
    /// Parts that are not understood here.
    free: BTreeSet<String>,
    remarks: Vec<Remark>,
}

/// Values of variables, and what the parts that are not understood say.
#[derive(Default)]
struct Assignment {
    values: BTreeMap<String, Written>,
    free: BTreeMap<String, bool>,
}

impl<D: Fn(&str) -> Domain> Tried<'_, D> {
    fn collect(&mut self, expression: &IdedExpr) {
        if let Some(sides) = connected(expression) {
            return sides.iter().for_each(|side| self.collect(side));
        }
        let Some(comparison) = comparison(expression, self.domain) else {
            if fixed(expression).is_none() {
                self.remarks.extend(self.bit(expression));
                self.free.insert(written(expression));
            }
            return;
        };
        let domain = (self.domain)(comparison.variable);
        for value in &comparison.values {
            let fits = domain.tries(std::slice::from_ref(value));
            let never = !fits.iter().any(|one| comparison.holds(one, value));
            if never {
                let about = format!("{} is never true", comparison.of(value));
                let why = domain.in_words(comparison.variable);
                self.remarks
                    .push((format!("{about}: {why}"), domain.near(value)));
            }
        }
        let known = self.values.entry(comparison.variable.to_owned());
        known.or_default().extend(comparison.values);
    }

    /// A bit that a number without sign does not have.
    fn bit(&self, expression: &IdedExpr) -> Option<Remark> {
        let Expr::Call(call) = &expression.expr else {
            return None;
        };
        let ("bit", [word, number]) = (call.func_name.as_str(), call.args.as_slice()) else {
            return None;
        };
        let (Expr::Ident(tag), Written::Number(bit)) = (&word.expr, literal(number)?) else {
            return None;
        };
        match (self.domain)(tag) {
            Domain::Whole(low, _, bits) if low >= 0.0 && bit >= f64::from(bits) => Some((
                format!(
                    "`{}` is never true: `{tag}` has {bits} bits, from 0",
                    written(expression)
                ),
                None,
            )),
            _ => None,
        }
    }

    /// What the whole condition can say.
    fn whole(&self, source: &str, expression: &IdedExpr) -> Option<Remark> {
        let mut tried = vec![Assignment::default()];
        for (name, values) in &self.values {
            let tries = (self.domain)(name).tries(values);
            tried = grown(tried, tries.len(), |one, n| {
                one.values
                    .extend(tries.get(n).map(|value| (name.clone(), value.clone())));
            })?;
        }
        for part in &self.free {
            tried = grown(tried, 2, |one, n| {
                one.free.insert(part.clone(), n == 1);
            })?;
        }
        let says = |wanted: Known| tried.iter().any(|one| self.says(expression, one) == wanted);
        let what = match (says(Known::True), says(Known::False)) {
            (true, true) => return None,
            (true, false) => "is always true",
            (false, true) => "is never true",
            (false, false) => "is never known",
        };
        Some((format!("`{source}` {what}"), None))
    }

    fn says(&self, expression: &IdedExpr, assigned: &Assignment) -> Known {
        if let Some(sides) = connected(expression) {
            let said: Vec<Known> = sides.iter().map(|side| self.says(side, assigned)).collect();
            return match function(expression) {
                operators::LOGICAL_AND if said.contains(&Known::False) => Known::False,
                operators::LOGICAL_OR if said.contains(&Known::True) => Known::True,
                operators::LOGICAL_NOT => match said.first() {
                    Some(Known::True) => Known::False,
                    Some(Known::False) => Known::True,
                    _ => Known::Unknown,
                },
                _ if said.contains(&Known::Unknown) => Known::Unknown,
                operators::LOGICAL_AND => Known::True,
                _ => Known::False,
            };
        }
        if let Some(known) = fixed(expression) {
            return known;
        }
        let truth = match comparison(expression, self.domain) {
            Some(comparison) => assigned.values.get(comparison.variable).map(|value| {
                let mut written = comparison.values.iter();
                written.any(|one| comparison.holds(value, one)) != comparison.negated
            }),
            None => assigned.free.get(&written(expression)).copied(),
        };
        match truth {
            Some(true) => Known::True,
            Some(false) => Known::False,
            None => Known::Unknown,
        }
    }
}

fn grown(
    tried: Vec<Assignment>,
    by: usize,
    set: impl Fn(&mut Assignment, usize),
) -> Option<Vec<Assignment>> {
    if by == 0 || tried.len().saturating_mul(by) > MOST_TRIED {
        return None;
    }
    let each = tried.iter().flat_map(|one| {
        let set = &set;
        (0..by).map(move |n| {
            let mut next = Assignment {
                values: one.values.clone(),
                free: one.free.clone(),
            };
            set(&mut next, n);
            next
        })
    });
    Some(each.collect())
}

/// The sides of `&&`, `||` and `!`.
fn connected(expression: &IdedExpr) -> Option<&[IdedExpr]> {
    let Expr::Call(call) = &expression.expr else {
        return None;
    };
    let joins = [
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
    ];
    joins
        .contains(&call.func_name.as_str())
        .then_some(&call.args)
}

fn function(expression: &IdedExpr) -> &str {
    match &expression.expr {
        Expr::Call(call) => &call.func_name,
        _ => "",
    }
}

/// What says the same whatever the tags are.
fn fixed(expression: &IdedExpr) -> Option<Known> {
    let of = |truth| if truth { Known::True } else { Known::False };
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(truth)) => Some(of(*truth.inner())),
        Expr::Call(call) => match call.args.as_slice() {
            [left, right] if divides_by_zero(left) || divides_by_zero(right) => {
                Some(Known::Unknown)
            }
            [left, right] => {
                let (left, right) = (literal(left)?, literal(right)?);
                holds(&call.func_name, &left, &right).map(of)
            }
            _ => None,
        },
        _ => None,
    }
}

fn divides_by_zero(expression: &IdedExpr) -> bool {
    let Expr::Call(call) = &expression.expr else {
        return false;
    };
    let divides = [operators::DIVIDE, operators::MODULO].contains(&call.func_name.as_str());
    let zero = |divisor: &IdedExpr| matches!(&divisor.expr, Expr::Literal(LiteralValue::Int(n)) if *n.inner() == 0);
    divides && call.args.get(1).is_some_and(zero)
}

/// A variable beside written values.
struct Comparison<'e> {
    variable: &'e str,
    operator: &'e str,
    values: Vec<Written>,
    /// `!=`, looked at as `==`.
    negated: bool,
}

impl Comparison<'_> {
    fn holds(&self, value: &Written, with: &Written) -> bool {
        holds(self.operator, value, with).unwrap_or(false)
    }

    fn of(&self, value: &Written) -> String {
        let sign = match self.operator {
            operators::LESS => "<",
            operators::LESS_EQUALS => "<=",
            operators::GREATER => ">",
            operators::GREATER_EQUALS => ">=",
            _ => "==",
        };
        match value {
            Written::Bool(is) => format!("`{} {sign} {is}`", self.variable),
            Written::Number(is) => format!("`{} {sign} {is}`", self.variable),
            Written::Text(is) => format!("`{} {sign} '{is}'`", self.variable),
        }
    }
}

fn comparison<'e>(
    expression: &'e IdedExpr,
    domain: &impl Fn(&str) -> Domain,
) -> Option<Comparison<'e>> {
    let found = match &expression.expr {
        Expr::Ident(variable) => Comparison {
            variable,
            operator: operators::EQUALS,
            values: vec![Written::Bool(true)],
            negated: false,
        },
        Expr::Call(call) => compared(call)?,
        _ => return None,
    };
    let domain = domain(found.variable);
    let understood = |value: &Written| match (&domain, value) {
        (Domain::Bool, Written::Bool(_)) => true,
        (Domain::Whole(..) | Domain::Number(..), Written::Number(n)) => n.abs() <= EXACT,
        (Domain::Words(_) | Domain::Text, Written::Text(_)) => found.operator == operators::EQUALS,
        _ => false,
    };
    found.values.iter().all(understood).then_some(found)
}

fn compared(call: &CallExpr) -> Option<Comparison<'_>> {
    let [left, right] = call.args.as_slice() else {
        return None;
    };
    let name = call.func_name.as_str();
    if let (operators::IN, Expr::Ident(variable), Expr::List(list)) =
        (name, &left.expr, &right.expr)
    {
        let values: Option<Vec<Written>> = list.elements.iter().map(literal).collect();
        return Some(Comparison {
            variable,
            operator: operators::EQUALS,
            values: values?,
            negated: false,
        });
    }
    let (variable, value, turned) = match (&left.expr, &right.expr) {
        (Expr::Ident(variable), _) => (variable, literal(right)?, false),
        (_, Expr::Ident(variable)) => (variable, literal(left)?, true),
        _ => return None,
    };
    let operator = match (name, turned) {
        (operators::EQUALS | operators::NOT_EQUALS, _) => operators::EQUALS,
        (operators::LESS, false) | (operators::GREATER, true) => operators::LESS,
        (operators::GREATER, false) | (operators::LESS, true) => operators::GREATER,
        (operators::LESS_EQUALS, false) | (operators::GREATER_EQUALS, true) => {
            operators::LESS_EQUALS
        }
        (operators::GREATER_EQUALS, false) | (operators::LESS_EQUALS, true) => {
            operators::GREATER_EQUALS
        }
        _ => return None,
    };
    Some(Comparison {
        variable,
        operator,
        values: vec![value],
        negated: name == operators::NOT_EQUALS,
    })
}

fn literal(expression: &IdedExpr) -> Option<Written> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(truth)) => Some(Written::Bool(*truth.inner())),
        Expr::Literal(LiteralValue::Int(n)) => Some(Written::Number(*n.inner() as f64)),
        Expr::Literal(LiteralValue::Double(n)) => Some(Written::Number(*n.inner())),
        Expr::Literal(LiteralValue::String(text)) => Some(Written::Text(text.inner().to_owned())),
        Expr::Call(call) if call.func_name == operators::NEGATE => {
            match literal(call.args.first()?)? {
                Written::Number(n) => Some(Written::Number(-n)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn holds(operator: &str, left: &Written, right: &Written) -> Option<bool> {
    let order = match (left, right) {
        (Written::Number(left), Written::Number(right)) => left.partial_cmp(right)?,
        (Written::Text(left), Written::Text(right)) => left.cmp(right),
        (Written::Bool(left), Written::Bool(right)) => left.cmp(right),
        _ => return None,
    };
    Some(match operator {
        operators::EQUALS => order.is_eq(),
        operators::NOT_EQUALS => order.is_ne(),
        operators::LESS => order.is_lt(),
        operators::LESS_EQUALS => order.is_le(),
        operators::GREATER => order.is_gt(),
        operators::GREATER_EQUALS => order.is_ge(),
        _ => return None,
    })
}

impl Domain {
    /// Values that make a difference beside those that are written: each of them, its neighbours, and the ends.
    fn tries(&self, beside: &[Written]) -> Vec<Written> {
        let mut numbers: Vec<f64> = beside
            .iter()
            .filter_map(|value| match value {
                Written::Number(n) => Some(*n),
                _ => None,
            })
            .collect();
        match self {
            Domain::Any => Vec::new(),
            Domain::Bool => vec![Written::Bool(false), Written::Bool(true)],
            Domain::Words(words) => words.iter().cloned().map(Written::Text).collect(),
            Domain::Text => {
                let longest = beside.iter().map(|value| match value {
                    Written::Text(text) => text.len(),
                    _ => 0,
                });
                let other = "x".repeat(longest.max().unwrap_or(0) + 1);
                beside
                    .iter()
                    .cloned()
                    .chain([Written::Text(other)])
                    .collect()
            }
            Domain::Whole(low, high, _) => {
                let near = |n: &f64| [n.floor() - 1.0, n.floor(), n.ceil(), n.ceil() + 1.0];
                let near = numbers.iter().flat_map(near).chain([*low, *high]);
                within(near.collect(), *low, *high)
            }
            Domain::Number(low, high) => {
                numbers.extend([*low, *high]);
                numbers.sort_by(f64::total_cmp);
                let between = numbers.windows(2).filter_map(|pair| match pair {
                    [a, b] => Some(a / 2.0 + b / 2.0),
                    _ => None,
                });
                let between: Vec<f64> = between.collect();
                numbers.extend(between);
                within(numbers, *low, *high)
            }
        }
    }

    fn in_words(&self, variable: &str) -> String {
        match self {
            Domain::Whole(low, high, _) | Domain::Number(low, high) => {
                format!("`{variable}` goes from {low} to {high}")
            }
            Domain::Words(words) => format!("`{variable}` is one of {}", words.join(", ")),
            Domain::Any | Domain::Bool | Domain::Text => format!("`{variable}` is never that"),
        }
    }

    fn near(&self, value: &Written) -> Option<String> {
        match (self, value) {
            (Domain::Words(words), Written::Text(text)) => {
                nearest(text, words.iter().map(String::as_str)).map(str::to_owned)
            }
            _ => None,
        }
    }
}

fn within(mut numbers: Vec<f64>, low: f64, high: f64) -> Vec<Written> {
    numbers.retain(|n| (low..=high).contains(n));
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers.into_iter().map(Written::Number).collect()
}

#[cfg(test)]
mod tests;
