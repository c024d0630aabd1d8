//! What was planted in the bills, beside what reconciliation found.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use windlass_sandbox::{PlantKind, PlantTruth};

use super::summary::{FindingRow, Findings};

/// A finding as the front door tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Found {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Found {
    /// Whether it is about one of these numbers.
    fn is_about(&self, numbers: &[String]) -> bool {
        self.rest
            .values()
            .any(|value| says(value, &|text| numbers.iter().any(|number| text.contains(number))))
    }
}

/// Whether any text in it is so.
fn says(value: &Value, is_so: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().any(|item| says(item, is_so)),
        Value::Object(members) => members.values().any(|member| says(member, is_so)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Claims a finding of its type for each plant, by its numbers, or where it has none or the finding does not tell them by
/// its day. Findings of reconciliation that nothing claims are invented; those of other parts are none of this.
pub fn compare(plants: &[PlantTruth], found: &[Found]) -> Findings {
    let mut rows: BTreeMap<&str, FindingRow> = BTreeMap::new();
    let kinds: Vec<&str> = PlantKind::ALL.iter().filter_map(|kind| kind.finding()).collect();
    let mut free: Vec<&Found> = found.iter().filter(|one| kinds.contains(&one.kind.as_str())).collect();
    let planted: Vec<(&str, &PlantTruth)> =
        plants.iter().filter_map(|plant| Some((plant.finding.as_deref()?, plant))).collect();
    for (kind, _) in &planted {
        rows.entry(kind).or_default().planted += 1;
    }
    let mut missing = planted;
    for by_day in [false, true] {
        missing.retain(|(kind, plant)| {
            let numbers = if by_day { vec![plant.day.clone()] } else { plant.keys.clone() };
            let nth = free.iter().position(|one| one.kind == *kind && one.is_about(&numbers));
            if let Some(nth) = nth {
                free.remove(nth);
                rows.entry(kind).or_default().found += 1;
            }
            nth.is_none()
        });
    }
    for one in &free {
        rows.entry(&one.kind).or_default().invented += 1;
    }
    let invented = free.iter().map(|one| format!("{}: {}", one.kind, text(one)));
    let missing = missing
        .iter()
        .map(|(kind, plant)| format!("{kind} ({:?}) of {} {}", plant.kind, plant.day, plant.keys.join(" ")));
    Findings {
        planted: rows.values().map(|row| row.planted).sum(),
        found: rows.values().map(|row| row.found).sum(),
        invented: rows.values().map(|row| row.invented).sum(),
        missing: missing.collect(),
        made_up: invented.collect(),
        types: rows.into_iter().map(|(kind, row)| FindingRow { kind: kind.to_owned(), ..row }).collect(),
    }
}

fn text(found: &Found) -> String {
    let of = |name: &str| found.rest.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", of("key"), of("text"))
}

/// Whether `ours` are `theirs` with some of the amounts that came late: money that a reconciliation found may be in the
/// books, or still wait for a person.
pub fn explained_by(ours: i64, theirs: i64, late: &[i64]) -> bool {
    let mut sums = vec![theirs];
    for fen in late {
        let with: Vec<i64> = sums.iter().map(|sum| sum + fen).collect();
        sums.extend(with);
        sums.sort_unstable();
        sums.dedup();
    }
    sums.contains(&ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plant(kind: PlantKind, keys: &[&str]) -> PlantTruth {
        PlantTruth {
            kind,
            finding: kind.finding().map(str::to_owned),
            day: "2026-01-05".to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            amount_fen: None,
        }
    }

    fn found(kind: &str, key: &str) -> Found {
        serde_json::from_value(json!({"type": kind, "key": key, "evidence": {"no": 1}})).unwrap()
    }

    #[test]
    fn a_plant_is_found_by_its_type_and_its_number() {
        let plants = [plant(PlantKind::Short, &["T1"]), plant(PlantKind::CrossMidnight, &["T2"])];
        let all = compare(&plants, &[found("short", "T1")]);
        assert_eq!((all.planted, all.found, all.invented), (1, 1, 0));
        for wrong in [found("short", "T9"), found("long", "T1"), found("amount", "T2")] {
            let all = compare(&plants, &[wrong]);
            assert_eq!((all.planted, all.found, all.invented, all.missing.len()), (1, 0, 1, 1));
        }
    }

    #[test]
    fn one_finding_is_one_plants() {
        let plants = [plant(PlantKind::FundMismatch, &["4200"]), plant(PlantKind::BrokenBalance, &["4201"])];
        let told = [found("fund_mismatch", "2026-01-05 fund line 7"), found("fund_mismatch", "4200")];
        let all = compare(&plants, &told);
        assert_eq!((all.planted, all.found, all.invented), (2, 2, 0));
        assert_eq!(compare(&plants, &told[..1]).found, 1);
        // What other parts found is none of reconciliation's.
        assert_eq!(compare(&[], &[found("balance_low", "x")]).invented, 0);
    }

    #[test]
    fn late_money_may_be_in_the_books_or_not() {
        assert!(
            explained_by(100, 100, &[7, 9])
                && explained_by(116, 100, &[7, 9])
                && explained_by(109, 100, &[7, 9])
        );
        assert!(!explained_by(108, 100, &[7, 9]));
    }
}
