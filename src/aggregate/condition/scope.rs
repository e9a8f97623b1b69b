//! The variables of one machine's conditions: its tags as they are now, `state` and `mode`, and the pulses of this instant.

use crate::model::{Mode, State, Value, ValueKind};
use cel::common::types::{CelBool, CelDouble, CelInt, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A model value in CEL's own types, so that evaluation borrows instead of converting.
#[derive(Clone, Debug)]
enum CelValue {
    Bool(CelBool),
    Int(CelInt),
    Float(CelDouble),
    Text(CelString<'static>),
}

impl CelValue {
    fn of(value: &Value) -> CelValue {
        match value {
            Value::Bool(on) => CelValue::Bool((*on).into()),
            Value::Int(whole) => CelValue::Int((*whole).into()),
            Value::Float(measured) => CelValue::Float((*measured).into()),
            Value::Text(text) => CelValue::Text(CelString::from(text.to_string())),
        }
    }

    fn as_val(&self) -> &dyn Val {
        match self {
            CelValue::Bool(value) => value,
            CelValue::Int(value) => value,
            CelValue::Float(value) => value,
            CelValue::Text(value) => value,
        }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
enum Variable {
    Tag(usize),
    Changed(usize),
    Delta(usize),
    State,
    Mode,
}

/// One tag as conditions see it.
#[derive(Debug)]
struct Tag {
    name: String,
    kind: ValueKind,
    /// The usable value now.
    now: Option<Value>,
    /// `now` in CEL's types, once CEL has asked for it.
    cel: OnceLock<CelValue>,
    /// The last usable value: survives a gap, so that a change over it is noticed.
    last_known: Option<Value>,
    /// Changed in this instant, and by how much.
    pulse: Option<CelValue>,
    /// Some condition waits for its changes.
    watched: bool,
}

/// The variables of one machine's conditions.
#[derive(Debug)]
pub struct Scope {
    names: HashMap<String, Variable>,
    tags: Vec<Tag>,
    state: CelString<'static>,
    mode: CelString<'static>,
    zero: (CelInt, CelDouble),
    truth: (CelBool, CelBool),
    pulsing: Vec<usize>,
}

impl Scope {
    /// The tags of a machine in their local order. Nothing is known about any of them.
    pub fn new<'a>(tags: impl IntoIterator<Item = (&'a str, ValueKind)>) -> Scope {
        let mut names = HashMap::from([
            ("state".to_owned(), Variable::State),
            ("mode".to_owned(), Variable::Mode),
        ]);
        let mut table = Vec::new();
        for (local, (name, kind)) in tags.into_iter().enumerate() {
            names.insert(name.to_owned(), Variable::Tag(local));
            names.insert(format!("changed({name})"), Variable::Changed(local));
            names.insert(format!("delta({name})"), Variable::Delta(local));
            table.push(Tag {
                name: name.to_owned(),
                kind,
                now: None,
                cel: OnceLock::new(),
                last_known: None,
                pulse: None,
                watched: false,
            });
        }
        Scope {
            names,
            tags: table,
            state: CelString::from(State::Unknown.word()),
            mode: CelString::from(Mode::None.word()),
            zero: (0.into(), 0.0.into()),
            truth: (true.into(), false.into()),
            pulsing: Vec::new(),
        }
    }

    /// The local number and kind of a tag.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<(usize, ValueKind)> {
        match self.names.get(name)? {
            Variable::Tag(local) => Some((*local, self.tags.get(*local)?.kind)),
            _ => None,
        }
    }

    /// All tag names, in the local order.
    pub fn tag_names(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|tag| tag.name.as_str())
    }

    /// The usable value of a tag now; `None` when it is bad or was never read.
    #[must_use]
    pub fn value(&self, local: usize) -> Option<&Value> {
        self.tags.get(local)?.now.as_ref()
    }

    /// The last usable value of a tag, also when it is bad now.
    #[must_use]
    pub fn last_known(&self, local: usize) -> Option<&Value> {
        self.tags.get(local)?.last_known.as_ref()
    }

    /// Gives a tag its value of this instant; `None` for a bad one. True when conditions may see a difference.
    pub fn set(&mut self, local: usize, value: Option<Value>) -> bool {
        let Some(tag) = self.tags.get_mut(local) else {
            return false;
        };
        if tag.now == value {
            return false;
        }
        if let Some(value) = &value {
            let last = tag.last_known.as_ref().filter(|_| tag.watched);
            let change = last.filter(|last| *last != value);
            if let Some(change) = change.map(|last| difference(last, value))
                && tag.pulse.replace(change).is_none()
            {
                self.pulsing.push(local);
            }
            tag.last_known = Some(value.clone());
        }
        tag.cel.take();
        tag.now = value;
        true
    }

    /// Some condition waits for changes of the tag: only then are they noticed.
    pub fn watch(&mut self, local: usize) {
        if let Some(tag) = self.tags.get_mut(local) {
            tag.watched = true;
        }
    }

    /// What a tag was last known to be in an earlier run: a change over the down time is then a change.
    pub fn remember(&mut self, local: usize, value: Value) {
        if let Some(tag) = self.tags.get_mut(local) {
            tag.last_known = Some(value);
        }
    }

    /// The instant is over: nothing has just changed any more. Gives the tags that had.
    pub fn end_of_instant(&mut self) -> Vec<usize> {
        for local in &self.pulsing {
            if let Some(tag) = self.tags.get_mut(*local) {
                tag.pulse = None;
            }
        }
        std::mem::take(&mut self.pulsing)
    }

    /// The debounced state of the equipment.
    pub fn set_state(&mut self, state: State) {
        self.state = CelString::from(state.word());
    }

    /// The debounced mode of the equipment.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = CelString::from(mode.word());
    }

    /// The word of `state` or `mode`; `None` for any other name.
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<&str> {
        match self.names.get(name)? {
            Variable::State => Some(self.state.inner()),
            Variable::Mode => Some(self.mode.inner()),
            _ => None,
        }
    }

    fn pulse(&self, local: usize) -> Option<&dyn Val> {
        let tag = self.tags.get(local)?;
        match (&tag.pulse, tag.now.as_ref()?) {
            (Some(pulse), _) => Some(pulse.as_val()),
            (None, Value::Float(_)) => Some(&self.zero.1),
            (None, _) => Some(&self.zero.0),
        }
    }
}

/// How much a value changed; for texts and bits, 1.
fn difference(last: &Value, now: &Value) -> CelValue {
    match (last, now) {
        (Value::Int(last), Value::Int(now)) => CelValue::Int(now.wrapping_sub(*last).into()),
        (Value::Float(last), Value::Float(now)) => CelValue::Float((now - last).into()),
        (Value::Int(last), Value::Float(now)) => CelValue::Float((now - *last as f64).into()),
        (Value::Float(last), Value::Int(now)) => CelValue::Float((*now as f64 - last).into()),
        _ => CelValue::Int(1.into()),
    }
}

impl VariableResolver for Scope {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let value: &dyn Val = match self.names.get(variable)? {
            Variable::Tag(local) => {
                let tag = self.tags.get(*local)?;
                let now = tag.now.as_ref()?;
                tag.cel.get_or_init(|| CelValue::of(now)).as_val()
            }
            Variable::Changed(local) => {
                let tag = self.tags.get(*local)?;
                tag.now.as_ref()?;
                if tag.pulse.is_some() {
                    &self.truth.0
                } else {
                    &self.truth.1
                }
            }
            Variable::Delta(local) => self.pulse(*local)?,
            Variable::State => &self.state,
            Variable::Mode => &self.mode,
        };
        Some(CowVal::Borrowed(value))
    }
}
