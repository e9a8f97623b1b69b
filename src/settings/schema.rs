//! The JSON Schema of the settings file: for editors, and for `verify`, which reads a file against it.

use super::shape::File;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static OF_FILE: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(File).to_value();
    without_null(&mut schema);
    if let Some(top) = schema.as_object_mut() {
        top.insert("title".into(), "Settings of a Millgate gateway".into());
    }
    schema
});

static WITH_TEMPLATES: LazyLock<Value> = LazyLock::new(|| with_templates(OF_FILE.clone()));

/// JSON Schema (2020-12) of the settings file.
#[must_use]
pub fn schema() -> &'static Value {
    &WITH_TEMPLATES
}

/// The same of a file whose templates are written out.
pub(super) fn of_file() -> &'static Value {
    &OF_FILE
}

/// What stands for a value in a template.
const IN_TEMPLATE: &str = "InTemplate";

/// Adds `templates:`, and machines that are made from one.
fn with_templates(mut schema: Value) -> Value {
    let machine = schema.pointer("/$defs/Machine").cloned();
    let Some(template) = machine.map(template_of) else {
        return schema;
    };
    let mut defs = Map::new();
    for (name, def) in schema
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let mut def = def.clone();
        takes_parameters(&mut def);
        defs.insert(format!("{name}{IN_TEMPLATE}"), def);
    }
    defs.insert("Template".into(), template);
    defs.insert("MachineOfTemplate".into(), json!({
        "description": "A machine made from a template: its name, and a value for each of its parameters.",
        "type": "object",
        "properties": { "template": { "description": "One of `templates:`.", "type": "string" } },
        "required": ["template"],
    }));
    if let Some(all) = schema.pointer_mut("/$defs").and_then(Value::as_object_mut) {
        all.extend(defs);
    }
    if let Some(keys) = schema
        .pointer_mut("/properties")
        .and_then(Value::as_object_mut)
    {
        let templates = json!({
            "description": "Machines that are written once and made as often as `machines:` says, by name.",
            "type": "object",
            "additionalProperties": { "$ref": "#/$defs/Template" },
        });
        keys.insert("templates".into(), templates);
        if let Some(machines) = keys.get_mut("machines") {
            machines["additionalProperties"] = json!({
                "anyOf": [{ "$ref": "#/$defs/Machine" }, { "$ref": "#/$defs/MachineOfTemplate" }]
            });
        }
    }
    schema
}

/// A machine with parameters, each of whose values may have some in it.
fn template_of(mut machine: Value) -> Value {
    let parameters = json!({
        "description": "What differs from machine to machine; written \"{host}\" where it belongs.",
        "type": "array",
        "items": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
    });
    if let Some(keys) = machine
        .pointer_mut("/properties")
        .and_then(Value::as_object_mut)
    {
        keys.values_mut().for_each(takes_parameters);
        keys.insert("parameters".into(), parameters);
    }
    if let Some(keys) = machine.as_object_mut() {
        let says = "A machine that is written once, for many.";
        keys.insert("description".into(), says.into());
    }
    machine
}

/// Each single value may be a text with parameters in it, too.
fn takes_parameters(schema: &mut Value) {
    let Value::Object(keys) = schema else { return };
    if let Some(Value::String(target)) = keys.get_mut("$ref") {
        target.push_str(IN_TEMPLATE);
        return;
    }
    if let Some(Value::Object(properties)) = keys.get_mut("properties") {
        properties.values_mut().for_each(takes_parameters);
    }
    for key in ["items", "additionalProperties"] {
        keys.get_mut(key).into_iter().for_each(takes_parameters);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = keys.get_mut(key) {
            choices.iter_mut().for_each(takes_parameters);
        }
    }
    let is_block = keys.get("type").is_some_and(|kind| kind == "object");
    if is_block || keys.contains_key("$ref") {
        return;
    }
    let said = keys.get("description").cloned();
    let plain = Value::Object(std::mem::take(keys));
    let parameter = json!({ "type": "string", "pattern": r"\{[A-Za-z_][A-Za-z0-9_]*\}" });
    keys.insert("anyOf".into(), json!([plain, parameter]));
    keys.extend(said.map(|said| ("description".into(), said)));
}

/// A key without a value is refused, so `null` is nowhere allowed: a key is written with a value, or left out.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    keys.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
                choices.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    keys.remove("anyOf");
                    keys.extend(only);
                }
            }
            keys.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_valid_and_takes_the_example_but_no_empty_key() {
        let validator = jsonschema::draft202012::new(schema()).unwrap();
        let example: Value =
            serde_saphyr::from_str(include_str!("../../examples/press.yaml")).unwrap();
        assert!(validator.is_valid(&example));
        let mut hollow = example;
        hollow["equipment"] = Value::Null;
        assert!(!validator.is_valid(&hollow));
        assert!(!schema().to_string().contains("\"null\""));
    }
}
