//! How the fuzzer changes a sequence: by whole operations, and by fields that a generated operation of the
//! same kind has. Bytes changed at random would hardly ever be a sequence.

use amp_model::Sequence;
use amp_model::operation::Operation;
use serde_json::Value;

use super::SEARCH;

/// Longer ones are seldom worth their time.
const MOST_OPERATIONS: usize = 150;

/// A sequence like this one, in at most so many bytes of JSON; a new one where there is none yet.
pub(super) fn change(json: &[u8], seed: u32, most_bytes: usize) -> Vec<u8> {
    let mut choices = Choices(u64::from(seed) << 1 | 1);
    let donor = generated(choices.next());
    let Ok(mut sequence) = serde_json::from_slice::<Sequence>(json) else {
        return written(donor, most_bytes);
    };
    for _ in 0..1 + choices.below(3) {
        change_one_thing(&mut sequence, &donor, &mut choices);
    }
    written(sequence, most_bytes)
}

/// The beginning of one sequence and the end of another.
pub(super) fn cross(one: &[u8], other: &[u8], seed: u32, most_bytes: usize) -> Vec<u8> {
    let mut choices = Choices(u64::from(seed) << 1 | 1);
    let read = |json| serde_json::from_slice::<Sequence>(json).unwrap_or_else(|_| generated(seed.into()));
    let (mut sequence, end) = (read(one), read(other));
    sequence.operations.truncate(choices.below(sequence.operations.len() + 1));
    sequence.operations.extend_from_slice(choices.part(&end.operations));
    written(sequence, most_bytes)
}

fn generated(number: u64) -> Sequence {
    SEARCH.with(|search| search.sequence(number))
}

fn written(mut sequence: Sequence, most_bytes: usize) -> Vec<u8> {
    sequence.operations.truncate(MOST_OPERATIONS);
    loop {
        let json = serde_json::to_vec(&sequence).expect("a sequence has a JSON form");
        if json.len() <= most_bytes || sequence.operations.pop().is_none() {
            return json;
        }
    }
}

fn change_one_thing(sequence: &mut Sequence, donor: &Sequence, choices: &mut Choices) {
    let operations = &mut sequence.operations;
    let at = choices.below(operations.len() + 1);
    match choices.below(10) {
        0 => sequence.setting = donor.setting,
        1 => drop(operations.drain(at..operations.len().min(at + 1 + choices.below(5)))),
        2 | 3 => drop(operations.splice(at..at, choices.part(&donor.operations).iter().take(6).cloned())),
        4 if at < operations.len() => {
            let to = choices.below(operations.len());
            operations.swap(at, to);
        }
        5 if at < operations.len() => {
            let (to, again) = (choices.below(operations.len() + 1), operations[at].clone());
            operations.insert(to, again);
        }
        6 if at + 1 < operations.len() => {
            let together = Operation::Together(operations[at..at + 2].to_vec());
            operations.splice(at..at + 2, [together]);
        }
        _ => {
            let changed = operations.get(at).and_then(|operation| with_a_field_of(operation, donor, choices));
            if let Some(changed) = changed {
                operations[at] = changed;
            }
        }
    }
}

/// The operation with one field of the donor's next operation of the same kind.
fn with_a_field_of(operation: &Operation, donor: &Sequence, choices: &mut Choices) -> Option<Operation> {
    let from = choices.below(donor.operations.len());
    let (begin, end) = donor.operations.split_at(from);
    let other = end
        .iter()
        .chain(begin)
        .find(|other| operation.kind().is_some() && other.kind() == operation.kind())?;
    let (mut changed, other) = (serde_json::to_value(operation).ok()?, serde_json::to_value(other).ok()?);
    // {"Settle": {"owed": ..}}
    let fields = changed.as_object_mut()?.values_mut().next()?;
    let others = other.as_object()?.values().next()?;
    match (fields, others) {
        (Value::Object(fields), Value::Object(others)) => {
            let name = fields.keys().nth(choices.below(fields.len()))?.clone();
            fields.insert(name.clone(), others.get(&name)?.clone());
        }
        (fields, others) => *fields = others.clone(),
    }
    serde_json::from_value(changed).ok()
}

/// Numbers out of a seed.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        for shift in [13_i8, -7, 17] {
            let amount = shift.unsigned_abs();
            self.0 ^= if shift > 0 { self.0 << amount } else { self.0 >> amount };
        }
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// One of `0..count`; 0 of none.
    fn below(&mut self, count: usize) -> usize {
        let number = self.next() >> 33;
        usize::try_from(number).unwrap() % count.max(1)
    }

    /// Some that follow each other.
    fn part<'a, T>(&mut self, all: &'a [T]) -> &'a [T] {
        let (one, other) = (self.below(all.len() + 1), self.below(all.len() + 1));
        &all[one.min(other)..one.max(other)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_sequence_is_a_sequence_that_fits() {
        let mut json = Vec::new();
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let changed = change(&json, seed, 6_000);
            let sequence: Sequence = serde_json::from_slice(&changed).unwrap();
            assert!(changed.len() <= 6_000 && !sequence.operations.is_empty());
            kinds.extend(sequence.operations.iter().map(Operation::kind));
            let crossed = cross(&json, &changed, seed, 6_000);
            serde_json::from_slice::<Sequence>(&crossed).unwrap();
            json = changed;
        }
        assert_eq!(kinds.len(), Operation::KINDS.len() + 1, "every kind of operation comes up");
    }

    #[test]
    fn most_changes_change_something() {
        let json = written(generated(1), usize::MAX);
        let changed = (0..200).filter(|seed| change(&json, *seed, usize::MAX) != json).count();
        assert!(changed > 150, "{changed} of 200");
    }
}
