//! What the ledger stores, as Rust types: states (an enum whose variants are texts in a column with a CHECK) and
//! rows. By hand, because sqlx's own derive compiles SQLite a second time for every build.

/// Makes an enum that reads from and writes to its stored text.
macro_rules! stored_states {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::stored::NotAState;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::stored::NotAState;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or_else(|| {
                    $crate::stored::NotAState { of: stringify!($name), text: text.to_owned() }
                })
            }
        }
    };
}
pub(crate) use stored_states;

/// Reads a row of the ledger into a struct, column by name of the field; those after `parsed` are stored as text.
macro_rules! stored_row {
    ($name:ident { $($field:ident),* $(,)? } $(parsed { $($parsed:ident),* $(,)? })?) => {
        impl sqlx::FromRow<'_, sqlx::any::AnyRow> for $name {
            fn from_row(row: &sqlx::any::AnyRow) -> Result<Self, sqlx::Error> {
                use sqlx::Row;
                Ok(Self {
                    $($field: row.try_get(stringify!($field))?,)*
                    $($($parsed: $crate::stored::parsed(row, stringify!($parsed))?,)*)?
                })
            }
        }
    };
}
pub(crate) use stored_row;

/// The text of a column, as what it stands for.
pub(crate) fn parsed<T>(row: &sqlx::any::AnyRow, column: &str) -> Result<T, sqlx::Error>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let text: String = sqlx::Row::try_get(row, column)?;
    let wrong =
        |error: T::Error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) };
    T::try_from(text).map_err(wrong)
}

/// A column holds a text that this build does not know: another build wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger holds {text:?}, which is no {of} that this build knows")]
pub struct NotAState {
    pub of: &'static str,
    pub text: String,
}
