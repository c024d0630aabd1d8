//! A call that shows a token. By what an outside refuses one is for its client to say; what follows is the same for all.

use super::{Token, TokenSource, Tokens};
use crate::outside::OutsideError;

/// How one attempt at a call came to nothing.
pub enum Attempt {
    /// The token is no longer good, as this error tells.
    TokenRefused(OutsideError),
    Failed(OutsideError),
}

impl From<OutsideError> for Attempt {
    fn from(error: OutsideError) -> Self {
        Self::Failed(error)
    }
}

impl From<Attempt> for OutsideError {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::TokenRefused(error) | Attempt::Failed(error) => error,
        }
    }
}

/// Calls with a token, and once more with a new one when the outside refused it.
///
/// # Errors
/// What the token's fetch or the (last) call ended with: a second refusal is the call's error.
pub async fn with_token<T, F>(
    tokens: &Tokens,
    source: &dyn TokenSource,
    call: impl Fn(Token) -> F,
) -> Result<T, OutsideError>
where
    F: Future<Output = Result<T, Attempt>>,
{
    let token = tokens.get(source).await?;
    match call(token.clone()).await {
        Err(Attempt::TokenRefused(_)) => {
            let token = tokens.drop_and_refetch(source, &token.value).await?;
            Ok(call(token).await?)
        }
        told => Ok(told?),
    }
}
