//! What alloc offers, and code with much control flow. A program has 32 KB of memory and never frees
//! any, so the amounts are small.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};

use crate::{Data, Digest};

pub fn collections(data: &mut Data, digest: &mut Digest) {
    let (mut ordered, mut hashed) = (BTreeMap::new(), HashMap::new());
    let (mut set, mut queue, mut heap) = (BTreeSet::new(), VecDeque::new(), BinaryHeap::new());
    for step in 0..60_u64 {
        let (operation, key) = (data.byte() % 8, data.byte() % 48);
        match operation {
            0..3 => {
                digest.add(ordered.insert(key, step));
                digest.add(hashed.insert(u32::from(key), step));
            }
            3 => {
                digest.add(ordered.remove(&key));
                digest.add(hashed.remove(&u32::from(key)));
            }
            4 => {
                *ordered.entry(key).or_insert(9) += 1;
                *hashed.entry(u32::from(key)).or_default() += step;
            }
            5 => {
                digest.add(ordered.range(key..).next().map(|(k, v)| (*k, *v)));
                digest.add(ordered.range(..key).next_back().map(|(k, v)| (*k, *v)));
                digest.add(hashed.get(&u32::from(key)).copied());
            }
            6 => {
                digest.add(set.insert(u16::from(key) * 300));
                queue.push_back(step);
                queue.push_front(u64::from(key));
                heap.push((key, step));
            }
            _ => {
                digest.add((queue.pop_back(), heap.pop()));
                digest.add(set.pop_first());
                queue.rotate_left(queue.len() / 2);
            }
        }
    }
    digest.add((ordered.len(), (hashed.len(), (set.len(), (queue.len(), heap.len())))));
    ordered.retain(|k, _| k % 3 != 0);
    ordered.iter().for_each(|(k, v)| digest.add((*k, *v)));
    // in the order of the keys: that of a HashMap is not defined
    for key in 0..48 {
        digest.add(hashed.get(&key).copied());
    }
    queue.iter().for_each(|v| digest.add(*v));
    set.iter().for_each(|v| digest.add(*v));
    digest.add(
        heap.into_sorted_vec().iter().fold(0, |n: u64, (k, s)| n.wrapping_mul(31) ^ u64::from(*k) ^ s << 9),
    );
    let words: HashSet<&[u8]> = data.bytes(40).chunks(2).collect();
    digest.add(words.len());
}

pub fn sorting(data: &mut Data, digest: &mut Digest) {
    let n = usize::from(data.byte() % 120);
    let numbers: Vec<u64> = (0..n).map(|i| u64::from(data.byte() % 64) << (i % 3 * 20)).collect();

    let mut sorted = numbers.clone();
    sorted.sort();
    sorted.iter().for_each(|v| digest.add(*v));
    let mut unstable = numbers.clone();
    unstable.sort_unstable_by(|a, b| b.cmp(a));
    digest.add(unstable.iter().eq(sorted.iter().rev()));
    digest.add(sorted.binary_search(&7).is_ok());
    sorted.dedup();
    digest.add((sorted.len(), sorted.partition_point(|v| *v < 40)));

    // large elements, equal keys: a stable sort keeps their order
    let mut large: Vec<(u8, [u32; 9])> =
        numbers.iter().take(40).zip(0..).map(|(v, i)| (*v as u8 % 8, [i; 9])).collect();
    large.sort_by_key(|(key, _)| *key);
    large.iter().for_each(|(key, rest)| digest.add((*key, rest[8])));

    if n > 0 {
        let mut selected = numbers.clone();
        digest.add(*selected.select_nth_unstable(n / 2).1);
    }
    let mut rotated = numbers;
    rotated.rotate_right(n / 3);
    rotated.reverse();
    rotated.retain(|v| v.is_multiple_of(2));
    rotated.truncate(50);
    rotated.windows(3).for_each(|w| digest.add(w[0] ^ w[2]));
    rotated.chunks(4).map(|c| c.iter().sum::<u64>()).for_each(|v| digest.add(v));
    digest.add((rotated.iter().min().copied(), rotated.iter().max().copied()));
}

pub fn text(data: &mut Data, digest: &mut Digest) {
    let raw = data.bytes(24);
    match std::str::from_utf8(raw) {
        Ok(text) => digest.add(text),
        Err(error) => digest.add((error.valid_up_to(), error.error_len())),
    }
    let lossy = String::from_utf8_lossy(raw);
    digest.add(&*lossy);
    digest.add(lossy.to_uppercase().as_str());
    lossy.chars().rev().filter(|c| c.is_alphanumeric()).for_each(|c| digest.add(c));
    digest.add(char::from_u32(data.u64() as u32));

    for _ in 0..4 {
        let (a, b, wide) = (data.u64(), data.u64(), data.u128());
        let line =
            format!("{a},{},{wide},{},{:#x},{:>+24},{:08b}", b as i64, wide as i128, wide, b as i32, a as u8);
        digest.add(line.as_str());
        for field in line.split(',') {
            digest.add(field.trim().parse::<u64>().ok());
            digest.add(field.parse::<i128>().ok());
        }
        digest.add(line.find("00").map(|at| line[..at].len()));
        digest.add(line.replace('0', "zero").as_str());
        let (x, y) = (a as f64 / 1e6, f64::from_bits(b));
        let line = format!("{x} {x:.3} {x:e} {:?} {:?}", y.abs(), (a as u8, Some("é\n"), [b as i8; 2]));
        digest.add(line.as_str());
        digest.add(line.split(' ').next().and_then(|field| field.parse::<f64>().ok()).map(f64::to_bits));
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Nothing,
    Number(i64),
    Wide(u128),
    Text(String),
    List(Vec<Item>),
    Pair(Box<(Item, Item)>),
}

impl Item {
    fn weight(&self) -> u64 {
        match self {
            Item::Nothing => 1,
            Item::Number(n @ (i64::MIN..0 | 100..200)) => *n as u64,
            Item::Number(n) => n.wrapping_mul(3) as u64,
            Item::Wide(w) => (w >> 60) as u64,
            Item::Text(text) => text.len() as u64,
            Item::List(list) => list.iter().fold(7, |sum, item| sum.rotate_left(5) ^ item.weight()),
            Item::Pair(pair) => pair.0.weight().wrapping_sub(pair.1.weight()),
        }
    }
}

/// A random program on a stack of enums.
pub fn stack_machine(data: &mut Data, digest: &mut Digest) {
    let mut stack = vec![Item::Nothing];
    for _ in 0..60 {
        if data.is_empty() {
            break;
        }
        match data.byte() % 20 {
            0..4 => stack.push(Item::Number(data.u64() as i64)),
            4 | 5 => stack.push(Item::Wide(data.u128())),
            6 => stack.push(Item::Text(String::from_utf8_lossy(data.bytes(4)).into_owned())),
            7 => stack.push(Item::Nothing),
            8 => {
                let keep = stack.len() / 2;
                let list = stack.split_off(keep);
                stack.push(Item::List(list));
            }
            op => match (stack.pop(), stack.pop()) {
                (Some(Item::Number(a)), Some(Item::Number(b))) => stack.push(match op {
                    9 => a.checked_add(b).map_or(Item::Nothing, Item::Number),
                    10 => a.checked_mul(b).map_or(Item::Nothing, Item::Number),
                    11 => a.checked_div(b).map_or(Item::Nothing, Item::Number),
                    12 => a.checked_rem(b).map_or(Item::Nothing, Item::Number),
                    13 => Item::Number(a >> (b & 63)),
                    14 => Item::Wide(u128::from(a as u64) * u128::from(b as u64)),
                    15 => Item::Text(format!("{a:x}{b}")),
                    _ => Item::Pair(Box::new((Item::Number(b), Item::Number(a)))),
                }),
                (Some(Item::Wide(a)), Some(Item::Number(b))) => {
                    stack.push(Item::Wide(a.checked_rem(b as u128).unwrap_or(1)));
                }
                (Some(Item::Text(a)), Some(Item::Text(b))) => stack.push(Item::Text(a + &b)),
                (Some(Item::List(mut list)), Some(item)) if list.len() < 8 => {
                    list.insert(list.len() / 2, item);
                    stack.push(Item::List(list));
                }
                (Some(a), Some(b)) if op % 2 == 0 => stack.push(Item::Pair(Box::new((a, b)))),
                (Some(a), Some(b)) => {
                    digest.add((a == b, a.weight()));
                    stack.push(a);
                }
                (Some(a), None) => stack.push(a),
                _ => {}
            },
        }
        digest.add((stack.len(), stack.last().map(Item::weight)));
    }
    digest.add(Item::List(stack).weight());
}
