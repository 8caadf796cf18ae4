use serde_json::{Map, Value};

/// Members whose own members are somebody's names, not the protocol's.
const TABLES: [&str; 2] = ["routes", "tools"];

/// Every member that the input has, under either of its names, says the same in the output: texts letter for
/// letter, numbers digit for digit.
pub(super) fn says_what(input: &Value, output: &Value) {
    match (input, output) {
        (Value::Object(input), Value::Object(output)) => {
            for (name, value) in output {
                let given = input.get(name).or_else(|| input.get(&camel(name)));
                given.into_iter().for_each(|given| says_what(given, value));
            }
        }
        (Value::String(given), Value::String(shown)) => {
            let digits = given.bytes().all(|byte| byte.is_ascii_digit());
            let plain = given.trim_start_matches('0');
            let number = if plain.is_empty() { "0" } else { plain };
            assert!(given == shown || (digits && number == shown), "{given:?} became {shown:?}");
        }
        (Value::Number(given), Value::String(shown)) => assert_eq!(given.to_string(), *shown),
        (Value::Number(given), Value::Number(shown)) => assert_eq!(given, shown),
        // members in their order, without names: serde reads that too
        (Value::Array(_), Value::Object(_)) => {}
        (given, shown) => panic!("{given} became {shown}"),
    }
}

/// The same value under camelCase names.
pub(super) fn camel_case(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let renamed = members.iter().map(|(name, member)| {
        let member = if TABLES.contains(&name.as_str()) { member.clone() } else { camel_case(member) };
        (camel(name), member)
    });
    Value::Object(renamed.collect::<Map<_, _>>())
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (initial, rest) = part.split_at(part.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}
