//! The parts of a condition and what each says: for people who ask why something happened or not.
//!
//! Only `millgate replay --explain` evaluates parts; the gateway evaluates whole conditions.

use super::{Condition, Evaluator, Known, Scope};
use cel::Context;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::CelBool;

/// A part of a condition that is not made of others by `&&`, `||`, `!` or `? :`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSaid {
    /// As it is written: `pressure > 20.0`.
    pub text: String,
    /// What it says.
    pub says: Known,
    /// Tags it refers to, `state` and `mode`, in their order.
    pub variables: Vec<String>,
}

impl Evaluator {
    /// The parts that make `condition` what it is now. Of a conjunction that is false, those that are false; of one that holds,
    /// all. Where it is unknown, those that are.
    #[must_use]
    pub fn deciding(&self, condition: &Condition, scope: &Scope) -> Vec<PartSaid> {
        let mut parts = Vec::new();
        self.look(condition, scope, |look| {
            look.collect(&condition.expression, &mut parts)
        });
        parts
    }

    /// The parts that keep `condition` from being true now; of several ways to it, those of the nearest.
    #[must_use]
    pub fn missing(&self, condition: &Condition, scope: &Scope) -> Vec<PartSaid> {
        let mut parts = Vec::new();
        self.look(condition, scope, |look| {
            parts = look.missing(&condition.expression, true)
        });
        parts
    }

    fn look(&self, condition: &Condition, scope: &Scope, at: impl FnOnce(&Look<'_, '_, '_>)) {
        let root: &Context<'_, '_> = &self.root;
        let mut inner = root.new_inner_scope();
        inner.set_variable_resolver(scope);
        let look = Look {
            condition,
            scope,
            context: &inner,
        };
        at(&look);
    }
}

/// One evaluation of the parts of a condition.
struct Look<'a, 'c, 'p> {
    condition: &'a Condition,
    scope: &'a Scope,
    context: &'a Context<'c, 'p>,
}

impl Look<'_, '_, '_> {
    fn collect(&self, expression: &IdedExpr, into: &mut Vec<PartSaid>) {
        if let Expr::Call(call) = &expression.expr {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::LOGICAL_AND | operators::LOGICAL_OR, sides) => {
                    let whole = self.says(expression);
                    let deciding = sides.iter().filter(|side| self.says(side) == whole);
                    return deciding.for_each(|side| self.collect(side, into));
                }
                (operators::LOGICAL_NOT, [operand]) => return self.collect(operand, into),
                (operators::CONDITIONAL, [choice, yes, no]) => {
                    self.collect(choice, into);
                    return match self.says(choice) {
                        Known::True => self.collect(yes, into),
                        Known::False => self.collect(no, into),
                        Known::Unknown => {}
                    };
                }
                _ => {}
            }
        }
        into.push(self.part(expression));
    }

    fn part(&self, expression: &IdedExpr) -> PartSaid {
        PartSaid {
            text: written(expression),
            says: self.says(expression),
            variables: variables(expression),
        }
    }

    fn missing(&self, expression: &IdedExpr, wanted: bool) -> Vec<PartSaid> {
        if self.says(expression).value() == Some(wanted) {
            return Vec::new();
        }
        let Expr::Call(call) = &expression.expr else {
            return vec![self.part(expression)];
        };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [operand]) => self.missing(operand, !wanted),
            (name @ (operators::LOGICAL_AND | operators::LOGICAL_OR), sides) => {
                let of_sides = sides.iter().map(|side| self.missing(side, wanted));
                let all = (name == operators::LOGICAL_AND) == wanted;
                if all {
                    return of_sides.flatten().collect();
                }
                of_sides.min_by_key(Vec::len).unwrap_or_default()
            }
            (operators::CONDITIONAL, [choice, yes, no]) => match self.says(choice) {
                Known::True => self.missing(yes, wanted),
                Known::False => self.missing(no, wanted),
                Known::Unknown => self.missing(choice, true),
            },
            _ => vec![self.part(expression)],
        }
    }

    fn says(&self, expression: &IdedExpr) -> Known {
        let misfits = |name: &String| {
            let Some((local, _)) = self.scope.tag(name) else {
                return false;
            };
            let value = self.scope.value(local);
            let mut needs = self.condition.expected.iter();
            needs.any(|(tag, needed)| *tag == local && value.is_some_and(|v| !needed.fits(v)))
        };
        if !self.condition.expected.is_empty() && variables(expression).iter().any(misfits) {
            return Known::Unknown;
        }
        let value = cel::Value::resolve_val(expression, self.context).ok();
        let truth = value.and_then(|v| v.as_ref().downcast_ref::<CelBool>().map(|b| *b.inner()));
        match truth {
            Some(true) => Known::True,
            Some(false) => Known::False,
            None => Known::Unknown,
        }
    }
}

/// The variables of an expression, each once, in the order of the text; `changed(x)` and `delta(x)` count as `x`.
pub(super) fn variables(expression: &IdedExpr) -> Vec<String> {
    let mut found = Vec::new();
    collect_variables(expression, &mut found);
    found
}

fn collect_variables(expression: &IdedExpr, found: &mut Vec<String>) {
    match &expression.expr {
        Expr::Ident(name) => {
            let bare = ["changed(", "delta("]
                .iter()
                .find_map(|pulse| name.strip_prefix(pulse)?.strip_suffix(')'));
            let bare = bare.unwrap_or(name);
            if !found.iter().any(|known| known == bare) {
                found.push(bare.to_owned());
            }
        }
        Expr::List(list) => {
            let elements = list.elements.iter();
            elements.for_each(|element| collect_variables(element, found));
        }
        Expr::Call(call) => {
            let operands = call.target.iter().map(AsRef::as_ref).chain(&call.args);
            operands.for_each(|operand| collect_variables(operand, found));
        }
        _ => {}
    }
}

/// An expression as a person would write it.
pub(super) fn written(expression: &IdedExpr) -> String {
    match &expression.expr {
        Expr::Literal(literal) => literal_text(literal),
        Expr::Ident(name) => name.clone(),
        Expr::List(list) => format!("[{}]", listed(&list.elements)),
        Expr::Call(call) => written_call(call),
        _ => String::new(),
    }
}

fn listed(expressions: &[IdedExpr]) -> String {
    let all: Vec<String> = expressions.iter().map(written).collect();
    all.join(", ")
}

fn written_call(call: &CallExpr) -> String {
    if let Some(target) = &call.target {
        return format!(
            "{}.{}({})",
            side(target, CLOSEST),
            call.func_name,
            listed(&call.args)
        );
    }
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_NOT, [operand]) => format!("!{}", side(operand, UNARY)),
        (operators::NEGATE, [operand]) => format!("-{}", side(operand, UNARY)),
        (operators::CONDITIONAL, [choice, yes, no]) => {
            format!("{} ? {} : {}", side(choice, 1), side(yes, 1), side(no, 1))
        }
        (name, [left, right]) if infix(name).is_some() => {
            let (sign, bond) = infix(name).unwrap_or_default();
            format!("{} {sign} {}", side(left, bond), side(right, bond + 1))
        }
        (name, arguments) => format!("{name}({})", listed(arguments)),
    }
}

/// How closely a sign binds its operand, and what needs no sign at all.
const UNARY: u8 = 6;
const CLOSEST: u8 = 7;

/// An operand: in brackets where it binds less closely than its place wants.
fn side(expression: &IdedExpr, wanted: u8) -> String {
    let bond = match &expression.expr {
        Expr::Call(call) => match call.func_name.as_str() {
            operators::CONDITIONAL => 0,
            operators::LOGICAL_NOT | operators::NEGATE => UNARY,
            name => infix(name).map_or(CLOSEST, |(_, bond)| bond),
        },
        _ => CLOSEST,
    };
    let text = written(expression);
    if bond < wanted {
        format!("({text})")
    } else {
        text
    }
}

/// The sign between two operands, and how closely it binds them.
fn infix(operator: &str) -> Option<(&'static str, u8)> {
    Some(match operator {
        operators::LOGICAL_OR => ("||", 1),
        operators::LOGICAL_AND => ("&&", 2),
        operators::EQUALS => ("==", 3),
        operators::NOT_EQUALS => ("!=", 3),
        operators::LESS => ("<", 3),
        operators::LESS_EQUALS => ("<=", 3),
        operators::GREATER => (">", 3),
        operators::GREATER_EQUALS => (">=", 3),
        operators::IN => ("in", 3),
        operators::ADD => ("+", 4),
        operators::SUBSTRACT => ("-", 4),
        operators::MULTIPLY => ("*", 5),
        operators::DIVIDE => ("/", 5),
        operators::MODULO => ("%", 5),
        _ => return None,
    })
}

fn literal_text(literal: &LiteralValue) -> String {
    match literal {
        LiteralValue::Boolean(on) => on.inner().to_string(),
        LiteralValue::Int(whole) => whole.inner().to_string(),
        LiteralValue::Double(decimal) => format!("{:?}", decimal.inner()),
        LiteralValue::String(text) => format!("'{}'", text.inner().escape_debug()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Allowed;
    use super::*;
    use crate::model::{Mode, Value, ValueKind};

    /// The deciding parts of `source` with `status` 129, `code` "OK" and `pressure` bad, in MANUAL.
    #[track_caller]
    fn check(source: &str, expected: &[&str]) {
        let mut scope = Scope::new([
            ("status", ValueKind::Int),
            ("code", ValueKind::Text),
            ("pressure", ValueKind::Float),
        ]);
        scope.set(0, Some(Value::Int(129)));
        scope.set(1, Some(Value::Text("OK".into())));
        scope.set_mode(Mode::Manual);
        let condition = Condition::compile(source, &scope, Allowed::ALL).unwrap();
        let parts = Evaluator::default().deciding(&condition, &scope);
        let told: Vec<String> = parts
            .iter()
            .map(|p| format!("{} {:?} {}", p.text, p.says, p.variables.join(" ")))
            .collect();
        assert_eq!(told, expected, "{source}");
    }

    #[test]
    fn the_parts_that_decide_are_named() {
        check("bit(status,0)", &["bit(status, 0) True status"]);
        check(
            "bit(status, 0) && mode in ['PRODUCTION', 'SETUP']",
            &["mode in ['PRODUCTION', 'SETUP'] False mode"],
        );
        check(
            "bit(status, 0) && !bit(status, 1) && code == 'OK'",
            &[
                "bit(status, 0) True status",
                "bit(status, 1) False status",
                "code == 'OK' True code",
            ],
        );
        check(
            "bit(status, 0) && pressure > 20.0",
            &["pressure > 20.0 Unknown pressure"],
        );
        // False, whatever the pressure is.
        check(
            "bit(status, 1) && pressure > 20.0",
            &["bit(status, 1) False status"],
        );
        check(
            "bit(status, 1) || pressure > 20.0 || bit(status, 7)",
            &["bit(status, 7) True status"],
        );
        check(
            "!(bit(status, 0) || code != 'OK')",
            &["bit(status, 0) True status"],
        );
        check(
            "bit(status, 0) ? status > 200 : pressure > 1.0",
            &["bit(status, 0) True status", "status > 200 False status"],
        );
        check(
            "changed(status) || delta(pressure) > 0.0",
            &["delta(pressure) > 0.0 Unknown pressure"],
        );
    }

    #[test]
    fn what_is_missing_is_the_nearest_way_to_true() {
        let mut scope = Scope::new([("status", ValueKind::Int), ("pressure", ValueKind::Float)]);
        scope.set(0, Some(Value::Int(1)));
        let check = |source: &str, expected: &[&str]| {
            let condition = Condition::compile(source, &scope, Allowed::ALL).unwrap();
            let missing = Evaluator::default().missing(&condition, &scope);
            let told: Vec<&str> = missing.iter().map(|part| part.text.as_str()).collect();
            assert_eq!(told, expected, "{source}");
        };
        check("bit(status, 0)", &[]);
        check(
            "bit(status, 1) && pressure > 1.0 && bit(status, 0)",
            &["bit(status, 1)", "pressure > 1.0"],
        );
        check(
            "bit(status, 1) && bit(status, 2) || bit(status, 0) && bit(status, 3)",
            &["bit(status, 3)"],
        );
        check(
            "!(bit(status, 0) || pressure > 1.0)",
            &["bit(status, 0)", "pressure > 1.0"],
        );
        check("!(bit(status, 0) && status == 1)", &["bit(status, 0)"]);
        check(
            "pressure > 1.0 ? bit(status, 0) : bit(status, 1)",
            &["pressure > 1.0"],
        );
    }

    #[test]
    fn a_part_is_written_as_a_person_would() {
        for text in [
            "(status + 1) * 2 > -5",
            "code.startsWith('A')",
            "code == 'it\\'s'",
            "mask(status, 240) in [16, 32]",
            "double(status) / 3.5 <= 1000000.0",
            "changed(code)",
        ] {
            let program = cel::Program::compile(text).unwrap();
            assert_eq!(written(program.expression()), text);
        }
    }
}
