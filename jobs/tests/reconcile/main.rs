//! Bills beside the books, on a real SQLite and a real PostgreSQL: what is found, carried, superseded, refused, and
//! what a kill leaves.

#[cfg(test)]
mod books;
#[cfg(test)]
mod carry;
#[cfg(test)]
mod funds;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod real_files;
#[cfg(test)]
mod types;
#[cfg(test)]
mod versions;
