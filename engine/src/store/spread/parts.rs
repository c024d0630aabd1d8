//! How one call becomes several: on which carrier a thing lives, which one gave a token, and the answers brought together
//! again. What is asked of the carriers is the store's.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::{CARRIER_BITS, CARRIERS_MAX, SpreadStore};
use crate::envelope::NewJob;
use crate::id::{JobId, Token};
use crate::store::{Reserved, Store, StoreError};

impl SpreadStore {
    /// Where something lives, by its name.
    pub(super) fn home(&self, name: &[&str]) -> usize {
        // FNV-1a, the same in every build; its low bits mix badly, so that they are folded with the high ones.
        let bytes = name.iter().flat_map(|part| part.bytes().chain([0]));
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let hash = hash ^ hash >> 33;
        (hash % self.n() as u64) as usize
    }

    pub(super) fn home_of(&self, job: &NewJob) -> usize {
        match &job.unique {
            Some(unique) => self.home(&[&job.envelope.kind, &unique.key]),
            None => self.home(&[job.id.as_str()]),
        }
    }

    /// A carrier's token, as the caller knows it.
    pub(super) fn outward(&self, carrier: usize, token: Token) -> Token {
        Token(token.0 << CARRIER_BITS | carrier as u64)
    }

    /// Which carrier gave the token, and how it knows it. A token that none of them gave goes to one that refuses it.
    pub(super) fn inward(&self, token: Token) -> (usize, Token) {
        let carrier = (token.0 & (CARRIERS_MAX as u64 - 1)) as usize;
        (carrier % self.n(), Token(token.0 >> CARRIER_BITS))
    }

    /// Sends each item to its carrier and brings the answers back into the order of the items.
    pub(super) async fn apart<T, A, F>(
        &self,
        items: Vec<T>,
        carrier_of: impl Fn(&T) -> usize,
        call: impl Fn(usize, Vec<T>) -> F,
    ) -> Result<Vec<A>, StoreError>
    where
        F: Future<Output = Result<Vec<A>, StoreError>>,
    {
        let mut parts: Vec<(Vec<usize>, Vec<T>)> = (0..self.n()).map(|_| (Vec::new(), Vec::new())).collect();
        for (place, item) in items.into_iter().enumerate() {
            let part = &mut parts[carrier_of(&item)];
            part.0.push(place);
            part.1.push(item);
        }
        let calls = parts.into_iter().enumerate().filter(|(_, (places, _))| !places.is_empty());
        let calls = calls.map(|(carrier, (places, items))| {
            let answers = call(carrier, items);
            async move { Ok::<_, StoreError>(places.into_iter().zip(answers.await?)) }
        });
        let mut answers: Vec<(usize, A)> = try_join_all(calls).await?.into_iter().flatten().collect();
        answers.sort_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Asks the carriers for jobs by their ids: first where each would live, then the others for what was not found.
    pub(super) async fn wherever<A, F>(
        &self,
        ids: Vec<JobId>,
        missing: impl Fn(&A) -> bool,
        call: impl Fn(usize, Vec<JobId>) -> F,
    ) -> Result<Vec<A>, StoreError>
    where
        F: Future<Output = Result<Vec<A>, StoreError>>,
    {
        let homes: Vec<usize> = ids.iter().map(|id| self.home(&[id.as_str()])).collect();
        let mut answers: Vec<Option<A>> = ids.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..ids.len()).collect();
        for further in 0..self.n() {
            let asked: Vec<(usize, JobId)> = open.iter().map(|place| (*place, ids[*place].clone())).collect();
            let carrier_of = |(place, _): &(usize, JobId)| (homes[*place] + further) % self.n();
            let told = self
                .apart(asked, carrier_of, |carrier, some| {
                    call(carrier, some.into_iter().map(|(_, id)| id).collect())
                })
                .await?;
            for (place, answer) in open.iter().zip(told) {
                answers[*place] = Some(answer);
            }
            open.retain(|place| answers[*place].as_ref().is_none_or(&missing));
            if open.is_empty() {
                break;
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    pub(super) fn mark(&self, carrier: usize, mut reserved: Reserved) -> Reserved {
        for delivery in &mut reserved.deliveries {
            delivery.token = self.outward(carrier, delivery.token);
        }
        reserved
    }

    /// Those that answered; an error only when none did.
    pub(super) async fn those_that_answer<A, F>(
        &self,
        call: impl Fn(Arc<dyn Store>) -> F,
    ) -> Result<Vec<A>, StoreError>
    where
        F: Future<Output = Result<A, StoreError>>,
    {
        let told = join_all(self.carriers.iter().map(|carrier| call(Arc::clone(carrier)))).await;
        let (mut answers, mut failed) = (Vec::with_capacity(told.len()), None);
        for answer in told {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if answers.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "one of the carriers is away; the others go on");
                Ok(answers)
            }
            None => Ok(answers),
        }
    }
}
