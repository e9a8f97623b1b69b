//! The type check of conditions, over the whole expression: CEL itself would absorb a type error like missing data.

use super::{Allowed, Scope};
use crate::model::{Value, ValueKind};
use crate::settings::nearest;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use std::collections::BTreeSet;

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number with a decimal point.
    Float,
    /// A text.
    Text,
    /// Only the device knows: goes with everything, and is checked when it comes.
    Any,
    /// Several of one kind; `None` when empty.
    List(Option<Box<Type>>),
}

impl Type {
    /// In words for messages.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Float => "a decimal number",
            Type::Text => "a text",
            Type::Any => "whatever the device says",
            Type::List(_) => "a list",
        }
    }

    fn of(kind: ValueKind) -> Type {
        match kind {
            ValueKind::Bool => Type::Bool,
            ValueKind::Int => Type::Int,
            ValueKind::Float => Type::Float,
            ValueKind::Text => Type::Text,
            ValueKind::Any => Type::Any,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Float | Type::Any)
    }

    /// CEL compares whole and decimal numbers, but nothing else across kinds.
    fn comparable(&self, other: &Type) -> bool {
        self == other
            || matches!(self, Type::Any)
            || matches!(other, Type::Any)
            || self.is_number() && other.is_number()
    }
}

/// What a condition needs of a tag whose type only the device knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Bool,
    Int,
    Float,
    /// Whole or decimal.
    Number,
    Text,
}

impl Expected {
    /// What goes with a type that stands beside the tag; `None` where anything does.
    fn beside(kind: &Type) -> Option<Expected> {
        match kind {
            Type::Bool => Some(Expected::Bool),
            Type::Int | Type::Float => Some(Expected::Number),
            Type::Text => Some(Expected::Text),
            Type::Any | Type::List(_) => None,
        }
    }

    /// Exactly that type, as functions and calculations need it.
    fn exactly(kind: &Type) -> Option<Expected> {
        match kind {
            Type::Int => Some(Expected::Int),
            Type::Float => Some(Expected::Float),
            other => Expected::beside(other),
        }
    }

    /// True when a value is what is needed.
    pub(super) fn fits(self, value: &Value) -> bool {
        match value {
            Value::Bool(_) => self == Expected::Bool,
            Value::Int(_) => matches!(self, Expected::Int | Expected::Number),
            Value::Float(_) => matches!(self, Expected::Float | Expected::Number),
            Value::Text(_) => self == Expected::Text,
        }
    }

    /// In words for the log.
    pub(super) fn words(self) -> &'static str {
        match self {
            Expected::Bool => "true or false",
            Expected::Int => "a whole number",
            Expected::Float => "a decimal number",
            Expected::Number => "a number",
            Expected::Text => "a text",
        }
    }
}

/// What a condition refers to.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Tags whose type only the device knows, and what they must be here.
    pub(super) expected: Vec<(usize, Expected)>,
    pub(super) tags: BTreeSet<usize>,
    pub(super) state: bool,
    pub(super) mode: bool,
    pub(super) pulses: bool,
}

const FUNCTIONS: [&str; 12] = [
    "bit",
    "mask",
    "changed",
    "delta",
    "double",
    "int",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "in",
];

/// Walks an expression, finds its type and what it refers to.
pub(super) struct Checker<'a> {
    scope: &'a Scope,
    allowed: Allowed,
    uses: Uses,
}

impl<'a> Checker<'a> {
    pub(super) fn new(scope: &'a Scope, allowed: Allowed) -> Checker<'a> {
        Checker {
            scope,
            allowed,
            uses: Uses::default(),
        }
    }

    pub(super) fn finish(self) -> Uses {
        self.uses
    }

    pub(super) fn type_of(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        match &expression.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.variable(name),
            Expr::List(list) => self.list(&list.elements),
            Expr::Call(call) => self.call(call),
            _ => Err("this construct of CEL is not known in conditions: use comparisons, && || ! ?:, in, and the functions of the handbook".into()),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Type, String> {
        match name {
            "state" if self.allowed.state => {
                self.uses.state = true;
                return Ok(Type::Text);
            }
            "mode" if self.allowed.mode => {
                self.uses.mode = true;
                return Ok(Type::Text);
            }
            "state" | "mode" => {
                return Err(format!(
                    "`{name}` cannot be used here: it would depend on itself"
                ));
            }
            _ => {}
        }
        let Some((local, kind)) = self.scope.tag(name) else {
            let near = nearest(name, self.scope.tag_names().chain(["state", "mode"]));
            let hint = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            return Err(format!("there is no tag `{name}` in this machine{hint}"));
        };
        self.uses.tags.insert(local);
        Ok(Type::of(kind))
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Result<Type, String> {
        let mut kind: Option<Type> = None;
        for element in elements {
            let found = self.type_of(element)?;
            match &kind {
                Some(first) if !first.comparable(&found) => {
                    return Err(format!(
                        "a list holds {} and {}, which cannot be compared with one another",
                        first.words(),
                        found.words()
                    ));
                }
                Some(_) => {}
                None => kind = Some(found),
            }
        }
        Ok(Type::List(kind.map(Box::new)))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Type, String> {
        if let (Some(target), [argument]) = (&call.target, call.args.as_slice()) {
            return self.text_method(&call.func_name, target, argument);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                let sign = if call.func_name == operators::LOGICAL_AND {
                    "&&"
                } else {
                    "||"
                };
                self.needs(left, &Type::Bool, &format!("`{sign}`"))?;
                self.needs(right, &Type::Bool, &format!("`{sign}`"))
            }
            (operators::LOGICAL_NOT, [operand]) => self.needs(operand, &Type::Bool, "`!`"),
            (operators::CONDITIONAL, [condition, yes, no]) => self.choice(condition, yes, no),
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                self.comparison(left, right, false)
            }
            (
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                [left, right],
            ) => self.comparison(left, right, true),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                [left, right],
            ) => self.arithmetic(&call.func_name, left, right),
            (operators::NEGATE, [operand]) => self.number(operand, "`-`"),
            (operators::IN, [needle, list]) => self.membership(needle, list),
            ("bit", [word, number]) => self.bit(word, number),
            ("mask", [word, mask]) => {
                self.needs(word, &Type::Int, "`mask`")?;
                self.needs(mask, &Type::Int, "`mask`")
            }
            ("changed" | "delta", [tag]) => self.pulse(&call.func_name, tag),
            ("double", [number]) => self.number(number, "`double`").map(|_| Type::Float),
            ("int", [number]) => self.number(number, "`int`").map(|_| Type::Int),
            ("size", [text]) => self.needs(text, &Type::Text, "`size`").map(|_| Type::Int),
            (name, _) => Err(unknown_function(name)),
        }
    }

    fn needs(&mut self, operand: &IdedExpr, wanted: &Type, who: &str) -> Result<Type, String> {
        let found = self.type_of(operand)?;
        if found == *wanted {
            return Ok(found);
        }
        if found == Type::Any {
            self.expect(operand, Expected::exactly(wanted));
            return Ok(wanted.clone());
        }
        Err(format!(
            "{who} needs {}, not {}",
            wanted.words(),
            found.words()
        ))
    }

    /// A tag whose type only the device knows must be this here.
    fn expect(&mut self, operand: &IdedExpr, expected: Option<Expected>) {
        if let (Expr::Ident(name), Some(expected)) = (&operand.expr, expected)
            && let Some((local, ValueKind::Any)) = self.scope.tag(name)
        {
            self.uses.expected.push((local, expected));
        }
    }

    /// The whole condition is true or false, or only the device knows.
    pub(super) fn is_condition(&mut self, expression: &IdedExpr) -> Result<Type, String> {
        let found = self.type_of(expression)?;
        if found == Type::Any {
            self.expect(expression, Some(Expected::Bool));
            return Ok(Type::Bool);
        }
        Ok(found)
    }

    fn number(&mut self, operand: &IdedExpr, who: &str) -> Result<Type, String> {
        let found = self.type_of(operand)?;
        if found.is_number() {
            self.expect(operand, Some(Expected::Number));
            return Ok(found);
        }
        Err(format!("{who} needs a number, not {}", found.words()))
    }

    fn choice(
        &mut self,
        condition: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Result<Type, String> {
        self.needs(condition, &Type::Bool, "`? :`")?;
        let (yes, no) = (self.type_of(yes)?, self.type_of(no)?);
        if yes == no || no == Type::Any {
            return Ok(yes);
        }
        if yes == Type::Any {
            return Ok(no);
        }
        Err(format!(
            "both results of `? :` must be of one kind, not {} and {}",
            yes.words(),
            no.words()
        ))
    }

    fn comparison(
        &mut self,
        left: &IdedExpr,
        right: &IdedExpr,
        ordered: bool,
    ) -> Result<Type, String> {
        let (one, other) = (left, right);
        let (left, right) = (self.type_of(one)?, self.type_of(other)?);
        let has_no_order = |kind: &Type| matches!(kind, Type::Bool | Type::List(_));
        if left.comparable(&right) && !(ordered && (has_no_order(&left) || has_no_order(&right))) {
            self.expect(one, Expected::beside(&right));
            self.expect(other, Expected::beside(&left));
            return Ok(Type::Bool);
        }
        Err(format!(
            "{} and {} cannot be compared",
            left.words(),
            right.words()
        ))
    }

    fn arithmetic(
        &mut self,
        operator: &str,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<Type, String> {
        let (one, other) = (left, right);
        let (left, right) = (self.type_of(one)?, self.type_of(other)?);
        match (&left, &right) {
            (Type::Any, Type::Any) => Ok(Type::Any),
            // CEL calculates with two numbers of one kind only: what the tag must be follows from what stands beside it.
            (Type::Any, known) | (known, Type::Any) if can_calculate(operator, known) => {
                let expected = Expected::exactly(known);
                self.expect(if left == Type::Any { one } else { other }, expected);
                Ok(known.clone())
            }
            (Type::Int, Type::Int) => Ok(Type::Int),
            (Type::Float, Type::Float) if operator != operators::MODULO => Ok(Type::Float),
            (Type::Text, Type::Text) if operator == operators::ADD => Ok(Type::Text),
            (Type::Int, Type::Float) | (Type::Float, Type::Int) => Err(
                "a whole and a decimal number cannot be calculated with one another: write 1.0 instead of 1, or double(tag)".into(),
            ),
            _ => Err(format!("{} and {} cannot be calculated with one another", left.words(), right.words())),
        }
    }

    fn membership(&mut self, needle: &IdedExpr, list: &IdedExpr) -> Result<Type, String> {
        let sought = needle;
        let (needle, list) = (self.type_of(needle)?, self.type_of(list)?);
        if let Type::List(Some(element)) = &list {
            self.expect(sought, Expected::beside(element));
        }
        match list {
            Type::List(Some(element)) if !needle.comparable(&element) => Err(format!(
                "`in`: {} and {} cannot be compared",
                needle.words(),
                element.words()
            )),
            Type::List(_) => Ok(Type::Bool),
            other => Err(format!("`in` needs a list, not {}", other.words())),
        }
    }

    fn bit(&mut self, word: &IdedExpr, number: &IdedExpr) -> Result<Type, String> {
        self.needs(word, &Type::Int, "`bit`")?;
        self.needs(number, &Type::Int, "`bit`")?;
        if let Expr::Literal(LiteralValue::Int(n)) = &number.expr
            && !(0..64).contains(n.inner())
        {
            return Err(format!("`bit` takes the bits 0 to 63, not {}", n.inner()));
        }
        Ok(Type::Bool)
    }

    fn pulse(&mut self, function: &str, tag: &IdedExpr) -> Result<Type, String> {
        if !self.allowed.pulses {
            return Err(format!(
                "`{function}` is true for one instant only and cannot hold: it does not go with `debounce` or where a lasting condition is needed"
            ));
        }
        let Expr::Ident(name) = &tag.expr else {
            return Err(format!("`{function}` takes the name of a tag"));
        };
        let kind = self.variable(name)?;
        if function == "delta" {
            self.expect(tag, Some(Expected::Number));
        }
        self.uses.pulses = true;
        match (function, kind) {
            ("changed", _) => Ok(Type::Bool),
            (_, kind) if kind.is_number() => Ok(kind),
            (_, kind) => Err(format!("`delta` needs a number, not {}", kind.words())),
        }
    }

    fn text_method(
        &mut self,
        name: &str,
        target: &IdedExpr,
        argument: &IdedExpr,
    ) -> Result<Type, String> {
        if !["contains", "startsWith", "endsWith", "matches"].contains(&name) {
            return Err(unknown_function(name));
        }
        self.needs(target, &Type::Text, &format!("`{name}`"))?;
        self.needs(argument, &Type::Text, &format!("`{name}`"))?;
        Ok(Type::Bool)
    }
}

fn can_calculate(operator: &str, kind: &Type) -> bool {
    match kind {
        Type::Int => true,
        Type::Float => operator != operators::MODULO,
        Type::Text => operator == operators::ADD,
        Type::Bool | Type::Any | Type::List(_) => false,
    }
}

fn unknown_function(name: &str) -> String {
    let hint = nearest(name, FUNCTIONS)
        .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
    format!("the function `{name}` is not known in conditions{hint}")
}

fn literal_type(literal: &LiteralValue) -> Result<Type, String> {
    match literal {
        LiteralValue::Boolean(_) => Ok(Type::Bool),
        LiteralValue::Int(_) => Ok(Type::Int),
        LiteralValue::Double(_) => Ok(Type::Float),
        LiteralValue::String(_) => Ok(Type::Text),
        LiteralValue::Bytes(_) | LiteralValue::Null | LiteralValue::UInt(_) => {
            Err("write whole numbers as 1, decimal numbers as 1.0, texts as 'x'".into())
        }
    }
}
