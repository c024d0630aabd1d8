//! Our own layout: a line for each line of an order, the lines of one order together.
//!
//! Columns by name, in any order: `order_no`, `product_code`, `product_name`, `quantity`, `unit_price` (yuan);
//! and, if wanted, `customer`, `pays` (`yes`, `no`, or seconds until the customer pays; of an order's first
//! line) and `cancelled` (`yes`: the customer cancels once the order is placed).

use std::collections::HashSet;
use std::io::Read;

use csv::{Reader, StringRecord};

use super::{Basket, Input, Known, LINES_MAX, Line, Pays, QUANTITY_MAX, fen};

pub(super) const REQUIRED: [&str; 5] = ["order_no", "product_code", "product_name", "quantity", "unit_price"];

/// Where each column is.
pub(super) struct Columns {
    required: [usize; 5],
    customer: Option<usize>,
    pays: Option<usize>,
    cancelled: Option<usize>,
}

impl Columns {
    pub(super) fn find(header: &StringRecord) -> Option<Self> {
        let at = |name: &str| header.iter().position(|column| column.trim() == name);
        let mut required = [0; 5];
        for (place, name) in required.iter_mut().zip(REQUIRED) {
            *place = at(name)?;
        }
        Some(Self { required, customer: at("customer"), pays: at("pays"), cancelled: at("cancelled") })
    }
}

pub(super) fn read(rows: &mut Reader<impl Read>, columns: &Columns, count: usize) -> anyhow::Result<Input> {
    let mut input = Input::default();
    let (mut seen, mut known) = (HashSet::new(), Known::default());
    let mut row = StringRecord::new();
    loop {
        let line_no = rows.position().line();
        match rows.read_record(&mut row) {
            Ok(false) => return Ok(input),
            Ok(true) => {}
            Err(error) if error.is_io_error() => return Err(error.into()),
            Err(error) => {
                input.rows_read += 1;
                input.rejected.add(line_no, "not a CSV row", error);
                continue;
            }
        }
        let line_no = row.position().map_or(line_no, csv::Position::line);
        let no = row.get(columns.required[0]).unwrap_or("").trim();
        let goes_on = input.baskets.last().is_some_and(|basket| basket.no == no);
        if !goes_on && input.baskets.len() == count {
            return Ok(input);
        }
        input.rows_read += 1;
        match line_of(&row, columns, &mut known) {
            Err((reason, what)) => input.rejected.add(line_no, reason, what),
            Ok(_) if !goes_on && !seen.insert(no.to_owned()) => {
                input.rejected.add(line_no, "the order's lines are not together", no);
            }
            Ok(line) if goes_on => {
                let basket = input.baskets.last_mut().expect("an order goes on only where there is one");
                if basket.lines.len() == LINES_MAX {
                    input.rejected.add(line_no, "too many lines in one order", no);
                } else {
                    basket.lines.push(line);
                    input.rows_used += 1;
                }
            }
            Ok(line) => match basket_of(&row, columns, no, line) {
                Ok(basket) => {
                    input.baskets.push(basket);
                    input.rows_used += 1;
                }
                Err((reason, what)) => input.rejected.add(line_no, reason, what),
            },
        }
    }
}

type Fault = (&'static str, String);

fn line_of(row: &StringRecord, columns: &Columns, known: &mut Known) -> Result<Line, Fault> {
    let cell = |nth: usize| row.get(columns.required[nth]).unwrap_or("").trim();
    let no = cell(0);
    let fits =
        (6..=32).contains(&no.len()) && no.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !fits {
        return Err(("order_no is not 6 to 32 letters, digits, _ or -", format!("{no:?}")));
    }
    if cell(1).is_empty() || cell(1).len() > 64 {
        return Err(("product_code is empty or longer than 64", format!("{:?}", cell(1))));
    }
    let quantity = cell(3).parse().ok().filter(|n| (1..=QUANTITY_MAX).contains(n));
    let quantity =
        quantity.ok_or(("quantity is not a whole number from 1 to 100000", format!("{:?}", cell(3))))?;
    let unit_price_fen = fen(cell(4)).filter(|fen| *fen > 0);
    let unit_price_fen =
        unit_price_fen.ok_or(("unit_price is not a positive amount", format!("{:?}", cell(4))))?;
    Ok(Line { product_code: known.text(cell(1)), name: known.text(cell(2)), quantity, unit_price_fen })
}

fn basket_of(row: &StringRecord, columns: &Columns, no: &str, line: Line) -> Result<Basket, Fault> {
    let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).unwrap_or("").trim();
    let pays = match cell(columns.pays) {
        "" | "yes" => Pays::AfterSecs(30),
        "no" => Pays::Never,
        secs => Pays::AfterSecs(
            secs.parse().map_err(|_| ("pays is not yes, no or seconds", format!("{secs:?}")))?,
        ),
    };
    let cancelled = match cell(columns.cancelled) {
        "" | "no" => false,
        "yes" => true,
        other => return Err(("cancelled is not yes or no", format!("{other:?}"))),
    };
    let customer = match cell(columns.customer) {
        "" => no,
        customer => customer,
    };
    Ok(Basket { no: no.to_owned(), customer: customer.to_owned(), lines: vec![line], pays, cancelled })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, count: usize) -> Input {
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let columns = Columns::find(rows.headers().unwrap()).unwrap();
        read(&mut rows, &columns, count).unwrap()
    }

    const HEADER: &str = "order_no,product_code,product_name,quantity,unit_price,customer,pays,cancelled\n";

    #[test]
    fn lines_of_an_order_come_together() {
        let text = format!(
            "{HEADER}SO-0001,A,Kettle,2,19.99,c1,,\nSO-0001,B,Lid,1,5,c1,,\nSO-0002,A,Kettle,1,19.99,c2,no,\n"
        );
        let input = read_text(&text, 10);
        assert_eq!(input.baskets.len(), 2);
        assert_eq!(input.baskets[0].total_fen(), 4498);
        assert_eq!(input.baskets[1].pays, Pays::Never);
        assert_eq!((input.rows_read, input.rows_used, input.rejected.count), (3, 3, 0));
    }

    #[test]
    fn every_unusable_row_is_told_with_its_line() {
        let text = format!(
            "{HEADER}SO-0001,A,Kettle,0,1,,,\nSO-0002,A,Kettle,1,-1,,,\nX,A,Kettle,1,1,,,\nSO-0004,A,K,1,1,,perhaps,\nSO-0005\nSO-0006,A,K,1,1,,,\n"
        );
        let input = read_text(&text, 10);
        let lines: Vec<_> = input.rejected.listed.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6]);
        assert_eq!((input.rows_read, input.rows_used), (6, 1));
    }

    #[test]
    fn an_order_that_comes_back_later_is_rejected() {
        let text = format!("{HEADER}SO-0001,A,K,1,1,,,\nSO-0002,A,K,1,1,,,\nSO-0001,B,K,1,1,,,\n");
        let input = read_text(&text, 10);
        assert_eq!(input.rejected.listed[0].0, 4);
    }

    #[test]
    fn reading_stops_after_the_count() {
        let text = format!("{HEADER}SO-0001,A,K,1,1,,,\nSO-0001,B,K,1,1,,,\nSO-0002,A,K,1,1,,,\n");
        let input = read_text(&text, 1);
        assert_eq!((input.baskets.len(), input.rows_read), (1, 2));
    }
}
