//! What was given out so far: hashes of files, and how often a spoiled one was met. A restart begins to count afresh.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::link::Link;
use crate::bills::{Day, Form, Layout, Pages};
use crate::plants::{Bill, PlantKind};
use crate::world::World;

#[derive(Debug, Default)]
pub(in crate::wechat_pay) struct Desk(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<Form, Found>,
    /// By the index of the plant.
    met: HashMap<u32, u32>,
}

/// A file of which the hash is known.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) form: Form,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Of the uncompressed bytes, in hexadecimal.
    pub(super) sha1: String,
}

impl Desk {
    /// Which version of a file is given out now.
    pub(super) fn form(&self, world: &World, day: Day, bill: Bill, layout: Layout) -> Form {
        let is_so = |kind| self.would_meet(world, day, bill, kind);
        let legacy = layout == Layout::All && is_so(PlantKind::Legacy);
        Form {
            day,
            layout: if legacy { Layout::Legacy } else { layout },
            wrong_summary: is_so(PlantKind::SummaryMismatch),
            foreign: is_so(PlantKind::ForeignMerchant),
            // Until it was downloaded it is the first version.
            changed: has(world, day, bill, PlantKind::Changed) && !is_so(PlantKind::Changed),
        }
    }

    /// Hashes the file, unless that was done before.
    pub(super) fn found(&self, world: &Arc<World>, form: Form) -> Found {
        if let Some(found) = self.lock().files.get(&form) {
            return found.clone();
        }
        let (mut sha1, mut bytes) = (Context::new(&SHA1_FOR_LEGACY_USE_ONLY), 0);
        let mut pages = Pages::of(Arc::clone(world), form);
        for page in pages.by_ref() {
            bytes += page.len() as u64;
            sha1.update(&page);
        }
        let sha1 = sha1.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let found = Found { form, rows: pages.rows, bytes, sha1 };
        self.lock().files.insert(form, found.clone());
        found
    }

    /// Whether a plant of this kind spoils the next one.
    pub(super) fn would_meet(&self, world: &World, day: Day, bill: Bill, kind: PlantKind) -> bool {
        plants(world, day, bill, kind).iter().any(|(index, times)| self.times(*index) < *times)
    }

    /// The same, and it is met now.
    pub(super) fn meets(&self, world: &World, day: Day, bill: Bill, kind: PlantKind) -> bool {
        let spoils =
            plants(world, day, bill, kind).into_iter().find(|(index, times)| self.times(*index) < *times);
        if let Some((index, _)) = spoils {
            *self.lock().met.entry(index).or_default() += 1;
        }
        spoils.is_some()
    }

    fn times(&self, index: u32) -> u32 {
        self.lock().met.get(&index).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plants of this kind in that bill, and how often each is met.
fn plants(world: &World, day: Day, bill: Bill, kind: PlantKind) -> Vec<(u32, u32)> {
    world.look(|state| {
        let of_day = state.plants.of_day(day);
        of_day
            .filter(|(_, planted)| planted.kind() == kind && planted.plant.bill == bill)
            .map(|(index, planted)| (index, planted.plant.times_met()))
            .collect()
    })
}

fn has(world: &World, day: Day, bill: Bill, kind: PlantKind) -> bool {
    !plants(world, day, bill, kind).is_empty()
}

/// A file on its way. When its last byte was taken, what spoiled it was met.
pub(super) struct Sent {
    pages: Pages,
    world: Arc<World>,
    desk: Arc<Desk>,
    link: Link,
    /// Bytes that still go out; the rest is missing.
    left: Option<u64>,
    /// Nothing more is counted.
    over: bool,
}

/// What is over once the whole file was taken.
const MET_WITH_THE_FILE: [PlantKind; 5] = [
    PlantKind::HashMismatch,
    PlantKind::SummaryMismatch,
    PlantKind::ForeignMerchant,
    PlantKind::Changed,
    PlantKind::Legacy,
];

impl Sent {
    /// `torn`: half of it. `arrives`: nothing else happens to it on its way.
    pub(super) fn new(
        pages: Pages,
        world: Arc<World>,
        desk: Arc<Desk>,
        link: &Link,
        torn: bool,
        arrives: bool,
    ) -> Self {
        let left = torn.then(|| desk.found(&world, link.form).bytes / 2);
        Self { pages, world, desk, link: *link, left, over: !arrives }
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let kinds: &[PlantKind] =
            if self.left.is_some() { &[PlantKind::Truncated] } else { &MET_WITH_THE_FILE };
        for kind in kinds {
            self.desk.meets(&self.world, self.link.form.day, self.link.bill, *kind);
        }
    }
}

impl Iterator for Sent {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let page = if self.left == Some(0) { None } else { self.pages.next() };
        let Some(mut page) = page else {
            self.end();
            return None;
        };
        if let Some(left) = &mut self.left {
            page.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= page.len() as u64;
        }
        Some(page)
    }
}
