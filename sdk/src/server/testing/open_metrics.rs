//! Reads the OpenMetrics text format, as strictly as Prometheus does and a little more: what the format
//! allows and this service has no use for (exemplars, timestamps) is refused.

use std::collections::{BTreeMap, BTreeSet};

/// What a service exposes: families by name.
#[derive(Debug, Default)]
pub(crate) struct Exposition(pub(crate) BTreeMap<String, Family>);

/// One metric with all its labels.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    /// By name and labels, as they were written.
    pub(crate) samples: Vec<(String, f64)>,
}

impl Exposition {
    /// A sample, written as in the text.
    pub(crate) fn get(&self, sample: &str) -> f64 {
        let mut all = self.0.values().flat_map(|family| &family.samples);
        all.find(|(name, _)| name == sample).unwrap_or_else(|| panic!("there is no {sample}")).1
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("no end mark")?;
        let mut all = Self::default();
        let mut current = String::new();
        for line in body.split_terminator('\n') {
            let wrong = |why: &str| Err(format!("{why}: {line:?}"));
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (Some(word), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                    return wrong("not a descriptor");
                };
                if !is_name(name) {
                    return wrong("not a name");
                }
                if name != current && all.0.contains_key(name) {
                    return wrong("a family in two parts");
                }
                current = name.to_owned();
                all.0.entry(current.clone()).or_default().describe(word, name, value)?;
            } else {
                let family = all.0.get_mut(&current).ok_or("a sample without a family")?;
                family.sample(&current, line)?;
            }
        }
        all.0.iter().try_for_each(|(name, family)| family.check(name))?;
        Ok(all)
    }
}

impl Family {
    fn describe(&mut self, word: &str, name: &str, value: &str) -> Result<(), String> {
        if !self.samples.is_empty() {
            return Err(format!("{name} is described after its samples"));
        }
        let place = match word {
            "TYPE" if ["counter", "gauge", "histogram"].contains(&value) => &mut self.kind,
            "HELP" => &mut self.help,
            "UNIT" if name.ends_with(&format!("_{value}")) => self.unit.get_or_insert_default(),
            _ => return Err(format!("{name}: {word} {value}")),
        };
        if !place.is_empty() {
            return Err(format!("{name} has two {word}"));
        }
        *place = value.to_owned();
        Ok(())
    }

    fn sample(&mut self, name: &str, line: &str) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{why}: {line:?}"));
        let Some((sample, value)) = line.rsplit_once(' ') else { return wrong("no value") };
        let Ok(value) = value.parse::<f64>() else { return wrong("not a number") };
        let (full, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let Some(labels) = labels.strip_suffix('}') else { return wrong("labels without end") };
        let suffix = full.strip_prefix(name);
        let fits = match self.kind.as_str() {
            "counter" => suffix == Some("_total") && value >= 0.0,
            "gauge" => suffix == Some(""),
            "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
            _ => return wrong("a sample without a type"),
        };
        let mut names = BTreeSet::new();
        let are_labels = labels.is_empty()
            || labels.split(',').all(|label| {
                let Some((name, value)) = label.split_once('=') else { return false };
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                is_name(name) && names.insert(name) && value.is_some_and(|value| !value.contains(['"', '\\']))
            });
        if !fits || !are_labels {
            return wrong("not a sample of its family");
        }
        if self.samples.iter().any(|(known, _)| known == sample) {
            return wrong("twice");
        }
        self.samples.push((sample.to_owned(), value));
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), String> {
        if self.kind.is_empty() || self.help.is_empty() || self.samples.is_empty() {
            return Err(format!("{name} lacks type, help or samples"));
        }
        let buckets: Vec<f64> =
            self.samples.iter().filter(|(at, _)| at.contains("_bucket")).map(|s| s.1).collect();
        let last = self.samples.iter().rev().find(|(at, _)| at.contains("_bucket"));
        let Some((last, total)) = last else { return Ok(()) };
        let count = self.samples.iter().find(|(at, _)| at.ends_with("_count")).map(|(_, count)| count);
        if !buckets.is_sorted() || !last.contains("le=\"+Inf\"") || count != Some(total) {
            return Err(format!("the buckets of {name} do not add up"));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_x Things.\n# TYPE a_x counter\n# UNIT a_x x\na_x_total{of=\"b\"} 2\n\
        # HELP h H.\n# TYPE h histogram\nh_sum 1.5\nh_count 2\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n\
        # HELP g G.\n# TYPE g gauge\ng inf\n# EOF\n";

    #[test]
    fn what_is_well_formed_is_read() {
        let read = Exposition::parse(GOOD).unwrap();
        assert_eq!((read.0.len(), read.get("a_x_total{of=\"b\"}"), read.get("g")), (3, 2.0, f64::INFINITY));
        assert_eq!((read.0["a_x"].kind.as_str(), read.0["a_x"].unit.as_deref()), ("counter", Some("x")));
    }

    #[test]
    fn each_fault_is_found() {
        for (from, to) in [
            ("# EOF\n", ""),
            ("# EOF\n", "# EOF\n\n"),
            ("# TYPE g gauge\n", ""),
            ("# HELP g G.\n", ""),
            ("g inf\n", ""),
            ("g inf", "g"),
            ("g inf", "g many"),
            ("g inf\n", "g inf\ng 2\n"),
            ("g inf\n", "g inf\na_x_total 1\n"),
            ("g inf\n", "g inf\n\n"),
            ("g inf\n", "g inf\n# HELP a_x Again.\n"),
            ("# UNIT a_x x", "# UNIT a_x y"),
            ("# TYPE a_x counter", "# TYPE a_x thing"),
            ("a_x_total{of=\"b\"} 2", "a_x{of=\"b\"} 2"),
            ("a_x_total{of=\"b\"} 2", "a_x_total{of=\"b\"} -2"),
            ("of=\"b\"", "of=b"),
            ("of=\"b\"", "of=\"b\",of=\"c\""),
            ("of=\"b\"", "o-f=\"b\""),
            ("le=\"1.0\"} 1", "le=\"1.0\"} 3"),
            ("h_count 2", "h_count 3"),
            ("+Inf", "2.0"),
        ] {
            assert!(GOOD.contains(from));
            let faulty = GOOD.replacen(from, to, 1);
            assert!(Exposition::parse(&faulty).is_err(), "{from:?} -> {to:?}");
        }
    }
}
