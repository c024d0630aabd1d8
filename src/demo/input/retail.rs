//! The layout of UCI Online Retail: a real shop's year, a row for each line of an invoice.
//!
//! An invoice becomes an order. A cancellation (`C` before the number) becomes the cancellation of the newest
//! order of the same customer that has exactly its lines; one that takes back only a part of an order, or of
//! which no order is known, is reported. Adjustments, charges that are no goods, prices and quantities that are
//! not positive are reported too.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use csv::{Reader, StringRecord};

use super::{Basket, Input, Known, LINES_MAX, Line, Pays, QUANTITY_MAX, fen};

const COLUMNS: [&str; 7] =
    ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"];
/// Stock codes that are postage, fees and corrections.
const CHARGES: [&str; 12] =
    ["POST", "DOT", "M", "C2", "S", "D", "B", "CRUK", "PADS", "BANK CHARGES", "AMAZONFEE", "ADJUST"];

/// Where each column is.
pub(super) struct Columns([usize; 7]);

impl Columns {
    pub(super) fn find(header: &StringRecord) -> Option<Self> {
        let mut places = [0; 7];
        for (place, name) in places.iter_mut().zip(COLUMNS) {
            *place = header.iter().position(|column| column.trim() == name)?;
        }
        Some(Self(places))
    }
}

/// A row that can be used.
struct Row {
    line_no: u64,
    invoice: String,
    customer: String,
    line: Line,
}

/// One invoice while its rows come in.
#[derive(Default)]
struct Invoice {
    no: String,
    rows: Vec<Row>,
}

pub(super) fn read(rows: &mut Reader<impl Read>, columns: &Columns, count: usize) -> anyhow::Result<Input> {
    let (mut shop, mut known) = (Shop::default(), Known::default());
    let mut current = Invoice::default();
    let mut record = StringRecord::new();
    loop {
        let line_no = rows.position().line();
        match rows.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) if error.is_io_error() => return Err(error.into()),
            Err(error) => {
                shop.input.rows_read += 1;
                shop.input.rejected.add(line_no, "not a CSV row", error);
                continue;
            }
        }
        let line_no = record.position().map_or(line_no, csv::Position::line);
        let no = record.get(columns.0[0]).unwrap_or("").trim();
        if no != current.no {
            shop.take(std::mem::replace(&mut current, Invoice { no: no.to_owned(), rows: Vec::new() }));
            if shop.input.baskets.len() == count {
                return Ok(shop.input);
            }
        }
        shop.input.rows_read += 1;
        match row_of(&record, columns, line_no, &mut known) {
            Ok(row) => current.rows.push(row),
            Err((reason, what)) => shop.input.rejected.add(line_no, reason, what),
        }
    }
    shop.take(current);
    Ok(shop.input)
}

fn row_of(
    record: &StringRecord,
    columns: &Columns,
    line_no: u64,
    known: &mut Known,
) -> Result<Row, (&'static str, String)> {
    let cell = |nth: usize| record.get(columns.0[nth]).unwrap_or("").trim();
    let (invoice, code) = (cell(0), cell(1));
    let number = invoice.strip_prefix('C').unwrap_or(invoice);
    if number.starts_with('A') {
        return Err(("an adjustment, not an order", invoice.to_owned()));
    }
    if number.len() < 6 || number.len() > 30 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(("InvoiceNo is no invoice number", format!("{invoice:?}")));
    }
    if CHARGES.iter().any(|charge| charge.eq_ignore_ascii_case(code)) || code.starts_with("gift_") {
        return Err(("a charge, not goods", code.to_owned()));
    }
    if code.is_empty() || code.len() > 64 {
        return Err(("StockCode is empty or longer than 64", format!("{code:?}")));
    }
    let quantity: i64 =
        cell(3).parse().map_err(|_| ("Quantity is no whole number", format!("{:?}", cell(3))))?;
    let quantity = if invoice.starts_with('C') { -quantity } else { quantity };
    let quantity = u32::try_from(quantity).ok().filter(|n| (1..=QUANTITY_MAX).contains(n));
    let quantity = quantity.ok_or(("Quantity has the wrong sign or is too large", cell(3).to_owned()))?;
    let price = fen(cell(5)).ok_or(("UnitPrice is no amount", format!("{:?}", cell(5))))?;
    if price <= 0 {
        return Err(("UnitPrice is not positive", cell(5).to_owned()));
    }
    let name = if cell(2).is_empty() { code } else { cell(2) };
    let line =
        Line { product_code: known.text(code), name: known.text(name), quantity, unit_price_fen: price };
    Ok(Row { line_no, invoice: invoice.to_owned(), customer: cell(6).to_owned(), line })
}

#[derive(Default)]
struct Shop {
    input: Input,
    seen: HashSet<String>,
    /// The orders of each known customer, the oldest first, by their place in `input.baskets`.
    orders_of: HashMap<String, Vec<usize>>,
}

impl Shop {
    fn take(&mut self, invoice: Invoice) {
        let Some(first) = invoice.rows.first() else { return };
        if !self.seen.insert(invoice.no.clone()) {
            return self.reject(&invoice, "the invoice's rows are not together", &invoice.no);
        }
        if invoice.rows.len() > LINES_MAX {
            let what = format!("{} has {}", invoice.no, invoice.rows.len());
            return self.reject(&invoice, "too many lines in one order", &what);
        }
        if first.invoice.starts_with('C') {
            return self.cancel(&invoice);
        }
        let customer = if first.customer.is_empty() { &invoice.no } else { &first.customer };
        self.orders_of.entry(customer.clone()).or_default().push(self.input.baskets.len());
        self.input.rows_used += invoice.rows.len() as u64;
        self.input.baskets.push(Basket {
            no: format!("R{}", invoice.no),
            customer: customer.clone(),
            lines: invoice.rows.iter().map(|row| row.line.clone()).collect(),
            pays: Pays::AfterSecs(30),
            cancelled: false,
        });
    }

    fn cancel(&mut self, invoice: &Invoice) {
        let orders = self.orders_of.get(&invoice.rows[0].customer).map_or(&[][..], Vec::as_slice);
        let back = quantities(invoice.rows.iter().map(|row| &row.line));
        let covers = |nth: &&usize| {
            let basket = &self.input.baskets[**nth];
            !basket.cancelled && quantities(basket.lines.iter()) == back
        };
        if let Some(nth) = orders.iter().rev().find(covers).copied() {
            self.input.baskets[nth].cancelled = true;
            self.input.rows_used += invoice.rows.len() as u64;
            return;
        }
        let part_of = |nth: &&usize| {
            let ordered = quantities(self.input.baskets[**nth].lines.iter());
            back.iter().all(|(code, n)| ordered.get(code).is_some_and(|ordered| ordered >= n))
        };
        let reason = if orders.iter().rev().any(|nth| part_of(&nth)) {
            "takes back a part of an order only"
        } else {
            "cancels no order of this file"
        };
        self.reject(invoice, reason, &invoice.no);
    }

    fn reject(&mut self, invoice: &Invoice, reason: &'static str, what: &str) {
        for row in &invoice.rows {
            self.input.rejected.add(row.line_no, reason, what);
        }
    }
}

fn quantities<'a>(lines: impl Iterator<Item = &'a Line>) -> HashMap<&'a str, u64> {
    let mut by_code = HashMap::new();
    for line in lines {
        *by_code.entry(&*line.product_code).or_default() += u64::from(line.quantity);
    }
    by_code
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn read_text(text: &str) -> Input {
        let text = format!("{HEADER}{text}");
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let columns = Columns::find(rows.headers().unwrap()).unwrap();
        read(&mut rows, &columns, 1_000).unwrap()
    }

    fn row(invoice: &str, code: &str, quantity: i64, customer: &str) -> String {
        format!(
            "{invoice},{code},\"NAME, WITH COMMA\",{quantity},2010-12-01 08:26:00,2.55,{customer},United Kingdom\n"
        )
    }

    #[test]
    fn a_cancellation_of_all_lines_cancels_the_order() {
        let text = row("536365", "A", 6, "17850")
            + &row("536365", "K", 2, "17850")
            + &row("C536379", "K", -2, "17850")
            + &row("C536379", "A", -6, "17850");
        let input = read_text(&text);
        assert!(input.baskets[0].cancelled);
        assert_eq!((input.rows_used, input.rejected.count), (4, 0));
    }

    #[test]
    fn a_part_taken_back_or_an_unknown_order_is_reported_by_line() {
        let text = row("536365", "A", 6, "17850")
            + &row("C536379", "A", -1, "17850")
            + &row("C536380", "Z", -1, "17850");
        let input = read_text(&text);
        assert!(!input.baskets[0].cancelled);
        assert_eq!(input.rejected.listed[0], (3, "takes back a part of an order only: C536379".to_owned()));
        assert_eq!(input.rejected.listed[1], (4, "cancels no order of this file: C536380".to_owned()));
    }

    #[test]
    fn an_invoice_that_comes_back_later_is_not_a_second_order() {
        let text = row("536365", "A", 6, "1") + &row("536366", "A", 6, "2") + &row("536365", "K", 1, "1");
        let input = read_text(&text);
        assert_eq!(input.baskets.len(), 2);
        assert_eq!(input.rejected.listed[0].0, 4);
    }

    #[test]
    fn charges_adjustments_and_bad_numbers_are_reported() {
        let text = row("536365", "POST", 1, "1")
            + &row("A563185", "B", 1, "")
            + &row("536366", "A", -3, "1")
            + "536367,A,X,1,2010,0,1,UK\n"
            + "536368,A,X,one,2010,1,1,UK\n"
            + "536369\n";
        let input = read_text(&text);
        assert_eq!(input.baskets.len(), 0);
        assert_eq!((input.rows_read, input.rejected.count), (6, 6));
    }

    #[test]
    fn the_real_file_is_read_to_the_last_row_where_it_is_there() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/online-retail.csv.gz");
        if !path.exists() {
            println!("skipped: {} is not there", path.display());
            return;
        }
        let input = super::super::read(&path, usize::MAX).unwrap();
        assert_eq!(input.rows_read, 245_903);
        assert_eq!(input.rows_used + input.rejected.count, input.rows_read);
        assert!(input.baskets.len() > 9_000, "{}", input.baskets.len());
        assert!(input.baskets.iter().filter(|basket| basket.cancelled).count() > 50);
    }
}
