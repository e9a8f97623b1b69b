//! Expressions between quotes in a template of JSON, where they would get a second pair. Pure.

/// Where expressions begin that stand inside a JSON text, in bytes.
pub(super) fn quoted(template: &str) -> Vec<usize> {
    let bytes = template.as_bytes();
    let mut found = Vec::new();
    let mut inside = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        match (byte, next) {
            (b'{', b'{' | b'%' | b'#') => {
                if inside && next == b'{' {
                    found.push(at);
                }
                let end = match next {
                    b'{' => "}}",
                    b'%' => "%}",
                    _ => "#}",
                };
                let rest = template.get(at..).unwrap_or_default();
                at += rest.find(end).map_or(rest.len(), |length| length + 2);
            }
            (b'\\', _) if inside => at += 2,
            (b'"', _) => {
                inside = !inside;
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_expressions_inside_a_text_are_found() {
        for (template, expected) in [
            (r#"{"a": {{ x }}, "b": [{{ y }}]}"#, vec![]),
            (r#"{"a": "{{ x }}"}"#, vec![7]),
            (r#"{"a": "no-\"{{ x }}"}"#, vec![12]),
            (r#"{"a": {{ "b" ~ x }}, "c": 1}"#, vec![]),
            (r#"{% if a == "b" %}{{ x }}{# " #}{% endif %}"#, vec![]),
            (r#"{"a": "{% if x %}1{% endif %}"}"#, vec![]),
            (r#""{{ open"#, vec![1]),
        ] {
            assert_eq!(quoted(template), expected, "{template}");
        }
    }
}
