//! The token shelf that all processes of a shop share, on the table `tokens`.
//!
//! It keeps what it is given; when a token is refreshed is decided in [`crate::token`].

use async_trait::async_trait;
use sqlx::Row;
use windlass_engine::Timestamp;

use super::Ledger;
use crate::outside::Secret;
use crate::token::{Token, TokenShelf};

/// Shares the ledger's connections.
#[derive(Clone, Debug)]
pub struct LedgerShelf(Ledger);

impl LedgerShelf {
    pub fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }
}

#[async_trait]
impl TokenShelf for LedgerShelf {
    async fn load(&self, name: &str) -> anyhow::Result<Option<Token>> {
        let row = sqlx::query(
            "SELECT value, token_type, issued_at, expires_at FROM tokens WHERE name = $1 AND value IS NOT NULL",
        )
        .bind(name.to_owned())
        .fetch_optional(self.0.reads())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Token {
            value: Secret::new(row.try_get::<String, _>("value")?),
            token_type: row.try_get("token_type")?,
            issued_at: Timestamp::from_micros(row.try_get("issued_at")?),
            expires_at: Timestamp::from_micros(row.try_get("expires_at")?),
        }))
    }

    async fn save(&self, name: &str, token: &Token) -> anyhow::Result<()> {
        let mut tx = self.0.begin().await?;
        sqlx::query(
            "INSERT INTO tokens (name, value, token_type, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, token_type = excluded.token_type, \
             issued_at = excluded.issued_at, expires_at = excluded.expires_at",
        )
        .bind(name.to_owned())
        .bind(token.value.expose().to_owned())
        .bind(token.token_type.clone())
        .bind(token.issued_at.micros())
        .bind(token.expires_at.micros())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn claim(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> anyhow::Result<bool> {
        let mut tx = self.0.begin().await?;
        let claimed = sqlx::query(
            "INSERT INTO tokens (name, holder, held_until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until \
             WHERE tokens.holder IS NULL OR tokens.holder = $2 OR tokens.held_until < $4",
        )
        .bind(name.to_owned())
        .bind(holder.to_owned())
        .bind(until.micros())
        .bind(now.micros())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        Ok(claimed.rows_affected() > 0)
    }

    async fn release(&self, name: &str, holder: &str) -> anyhow::Result<()> {
        let mut tx = self.0.begin().await?;
        sqlx::query("UPDATE tokens SET holder = NULL, held_until = NULL WHERE name = $1 AND holder = $2")
            .bind(name.to_owned())
            .bind(holder.to_owned())
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
