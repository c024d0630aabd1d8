//! States as the ledger stores them: a Rust enum whose variants are texts in a column with a CHECK.

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

/// A column holds a text that this build does not know: another build wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger holds {text:?}, which is no {of} that this build knows")]
pub struct NotAState {
    pub of: &'static str,
    pub text: String,
}
