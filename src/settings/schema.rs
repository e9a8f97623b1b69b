//! The JSON Schema of the settings file: for editors, and for `verify`, which reads a file against it.

use super::shape::File;
use serde_json::Value;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(File).to_value();
    without_null(&mut schema);
    if let Some(top) = schema.as_object_mut() {
        top.insert("title".into(), "Settings of a Millgate gateway".into());
    }
    schema
});

/// JSON Schema (2020-12) of the settings file.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
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
