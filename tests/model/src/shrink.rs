//! Makes a failing sequence as short and as plain as it can be: leaves out operations, many at once first, then
//! puts plain values in place of special ones.

use serde_json::{Map, Value, json};

use crate::operation::Operation;
use crate::sequence::Sequence;
use crate::trial::{Setting, Time};

/// The smallest sequence like this one for which `fails` still says so.
pub(crate) fn shrink(sequence: Sequence, fails: impl Fn(&Sequence) -> bool) -> Sequence {
    let mut smallest = sequence;
    loop {
        let before = smallest.clone();
        leave_out(&mut smallest, &fails);
        for at in (0..smallest.operations.len()).rev() {
            simplify(&mut smallest, at, &fails);
        }
        for setting in
            [Setting { troupe: 0, ..smallest.setting }, Setting { troupe: 0, time: Time::Ordinary }]
        {
            try_other(&mut smallest, |other| other.setting = setting, &fails);
        }
        if smallest == before {
            return smallest;
        }
    }
}

/// Takes a change over where the sequence still fails with it.
fn try_other(
    sequence: &mut Sequence,
    change: impl FnOnce(&mut Sequence),
    fails: &impl Fn(&Sequence) -> bool,
) -> bool {
    let mut other = sequence.clone();
    change(&mut other);
    let smaller = other != *sequence && fails(&other);
    if smaller {
        *sequence = other;
    }
    smaller
}

fn leave_out(sequence: &mut Sequence, fails: &impl Fn(&Sequence) -> bool) {
    let mut size = sequence.operations.len().next_power_of_two();
    while size > 0 {
        let mut end = sequence.operations.len();
        while end > 0 {
            let begin = end.saturating_sub(size);
            try_other(sequence, |other| drop(other.operations.drain(begin..end)), fails);
            end = begin.min(sequence.operations.len());
        }
        size /= 2;
    }
}

/// Makes one operation plainer.
fn simplify(sequence: &mut Sequence, at: usize, fails: &impl Fn(&Sequence) -> bool) {
    if let Operation::Together(several) = sequence.operations[at].clone() {
        for fewer in (0..several.len()).map(|one| [&several[..one], &several[one + 1..]].concat()) {
            try_other(sequence, |other| other.operations[at] = Operation::Together(fewer), fails);
        }
        try_other(sequence, |other| drop(other.operations.splice(at..=at, several)), fails);
        return;
    }
    let Ok(Value::Object(whole)) = serde_json::to_value(&sequence.operations[at]) else { return };
    let Some((kind, Value::Object(fields))) = whole.into_iter().next() else { return };
    let mut now = fields;
    for (name, value) in now.clone() {
        for plain in plainer(&name, &value) {
            let mut other = now.clone();
            other.insert(name.clone(), plain);
            let operation = serde_json::from_value(Value::Object(Map::from_iter([(
                kind.clone(),
                Value::Object(other.clone()),
            )])));
            let Ok(operation) = operation else { continue };
            if try_other(sequence, |it| it.operations[at] = operation, fails) {
                now = other;
                break;
            }
        }
    }
}

/// Values that are plainer than this one, the plainest first.
fn plainer(name: &str, value: &Value) -> Vec<Value> {
    let plain = match name {
        "twist" => json!(null),
        "owed" => json!({"Part": 1}),
        "seq" => json!("Covering"),
        "when" => json!("Now"),
        "deposit" => json!({"Units": 1_000}),
        "amount" | "limit" => json!({"Units": 1}),
        "expiry" => json!("Never"),
        "terms" => json!({"price": 0, "rate": 0, "interval": 0, "grace": 0, "depth": 0}),
        _ => json!(0),
    };
    let mut all = vec![plain];
    if let (Some(number), true) = (value.as_u64(), value.is_number()) {
        all.extend([json!(number / 2), json!(number.saturating_sub(1))]);
    }
    if let Value::Object(fields) = value {
        for (name, _) in fields.iter().filter(|(_, field)| **field != json!(0)) {
            let mut other = fields.clone();
            other.insert(name.clone(), json!(0));
            all.push(Value::Object(other));
        }
    }
    all.retain(|plainer| plainer != value);
    all
}
