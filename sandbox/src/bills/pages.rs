//! A file page by page: a bill of a million rows never stands whole in memory.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use windlass_engine::Timestamp;

use super::book::DayBook;
use super::row::{About, Row};
use super::{Form, Layout, fund, trade};
use crate::times;
use crate::world::World;

/// Rows for which the world is held at once.
const ROWS_AT_ONCE: usize = 500;

pub(crate) struct Pages {
    world: Arc<World>,
    form: Form,
    book: DayBook,
    next: Next,
    sums: trade::Sums,
    flow: fund::Flow,
    /// So far.
    pub(crate) rows: u64,
}

enum Next {
    Header,
    Rows(usize),
    Summary,
    Over,
}

impl Pages {
    pub(crate) fn of(world: Arc<World>, form: Form) -> Self {
        let book = world.look(|state| DayBook::open(state, form.day));
        let flow = fund::Flow::from(book.opening_fen);
        Self { world, form, book, next: Next::Header, sums: trade::Sums::default(), flow, rows: 0 }
    }

    fn header(&self) -> String {
        let header = match self.form.layout {
            Layout::Fund => fund::HEADER,
            layout => trade::header(layout),
        };
        format!("{header}\r\n")
    }

    fn page(&mut self, entries: &[(Timestamp, About)]) -> String {
        let mut out = String::new();
        let Form { layout, changed, foreign, .. } = self.form;
        let (sums, flow, rows) = (&mut self.sums, &mut self.flow, &mut self.rows);
        self.world.look(|state| {
            let movements = entries.iter().filter_map(|(at, about)| Row::of(state, *about, *at));
            for row in movements.filter(|row| !row.of_another || foreign) {
                if layout == Layout::Fund {
                    fund::lines(&mut out, &row, changed, flow);
                    *rows += 1;
                } else if trade::has(layout, &row) {
                    trade::lines(&mut out, layout, &row, changed, sums);
                    *rows += 1;
                }
            }
        });
        out
    }

    fn summary(&mut self) -> String {
        let (mut out, wrong) = (String::new(), self.form.wrong_summary);
        if self.form.layout == Layout::Fund {
            fund::summary(&mut out, &self.flow, wrong);
            return out;
        }
        if self.form.layout == Layout::All {
            let at = times::plain(self.form.day.start());
            for number in &self.book.bad_rows {
                trade::bad_line(&mut out, &at, number);
            }
        }
        trade::summary(&mut out, self.form.layout, &self.sums, wrong);
        out
    }
}

impl Iterator for Pages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let page = match self.next {
            Next::Header => {
                self.next = Next::Rows(0);
                self.header()
            }
            Next::Rows(from) => {
                let until = self.book.entries.len().min(from + ROWS_AT_ONCE);
                self.next = if until == self.book.entries.len() { Next::Summary } else { Next::Rows(until) };
                let entries = self.book.entries[from..until].to_vec();
                self.page(&entries)
            }
            Next::Summary => {
                self.next = Next::Over;
                self.summary()
            }
            Next::Over => return None,
        };
        Some(page.into_bytes())
    }
}

/// The same pages, compressed.
pub(crate) fn gzipped(pages: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut pages = pages;
    std::iter::from_fn(move || {
        let mut open = encoder.take()?;
        for page in pages.by_ref() {
            // Writing to memory cannot fail.
            let _ = open.write_all(&page);
            if !open.get_ref().is_empty() {
                let out = std::mem::take(open.get_mut());
                encoder = Some(open);
                return Some(out);
            }
        }
        open.finish().ok()
    })
}
