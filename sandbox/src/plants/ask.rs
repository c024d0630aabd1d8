//! Takes in what is to be planted.

use std::fmt;

use super::kind::Place;
use super::{Bill, Plant};
use crate::world::Scene;
use crate::world::event::Fact;

/// More plants than this nobody looks at one by one.
pub(crate) const PLANTS_MAX: u64 = 10_000;

/// Why none of them was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooMany,
    /// The bills of that day were given out.
    Closed(String),
    /// Only files can be spoiled in the fund flow bill.
    NoFile(String),
    Unrecorded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooMany => write!(f, "at most {PLANTS_MAX} plants"),
            Refusal::Closed(day) => {
                write!(f, "the bills of {day} were given out already: plant in those of a later day")
            }
            Refusal::NoFile(kind) => write!(f, "{kind} goes to the trade bill: leave out \"bill\""),
            Refusal::Unrecorded => f.write_str("the journal cannot be written"),
        }
    }
}

/// All of them or none; those that were asked for before are not planted again. How many are new.
pub(crate) fn ask(scene: &mut Scene<'_>, plants: &[Plant]) -> Result<usize, Refusal> {
    let known = &scene.state().plants;
    let new: Vec<&Plant> = plants.iter().filter(|plant| !known.has_asked(plant)).collect();
    if (known.asked_count() + new.len()) as u64 > PLANTS_MAX {
        return Err(Refusal::TooMany);
    }
    for plant in &new {
        if known.is_closed(plant.day) {
            return Err(Refusal::Closed(plant.day.to_string()));
        }
        if plant.bill == Bill::Fund && plant.kind.place() != Place::File {
            return Err(Refusal::NoFile(format!("{:?}", plant.kind)));
        }
    }
    let count = new.len();
    for plant in new {
        scene.record(Fact::PlantAsked { plant: plant.clone() }).map_err(|_| Refusal::Unrecorded)?;
    }
    Ok(count)
}
