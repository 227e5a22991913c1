//! Semaphores: how many may do a thing at once. One record holds them all, so that one conditional write decides; each place
//! in it is leased, so that a dead holder's place is free again when its lease runs out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::records::{self, Record};
use crate::domain::{Failure, JobId};
use crate::ports::{Catalog, Key, Wake};

/// Who holds a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// What it works on; a group has places of its own.
    pub group: String,
    /// Free for anybody from here on.
    pub expires_at: Timestamp,
}

/// The places of one limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Semaphore {
    /// What it limits.
    pub name: String,
    /// The jobs inside.
    pub holders: BTreeMap<JobId, Holder>,
}

/// How many may be inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Of one group.
    pub per_group: usize,
}

fn semaphore_key(name: &str) -> Key {
    Key {
        partition: format!("LEASE#{name}"),
        sort: "SEMAPHORE".to_owned(),
    }
}

impl Record for Semaphore {
    const KIND: &'static str = "semaphore";
    fn key(&self) -> Key {
        semaphore_key(&self.name)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

impl Semaphore {
    /// Lets a job in, or says why not. The second value tells whether the record has to be written.
    fn admit(&mut self, job: &JobId, holder: &Holder, limits: Limits, now: Timestamp) -> (Option<String>, bool) {
        if let Some(held) = self.holders.get_mut(job).filter(|held| held.expires_at > now) {
            let (left, whole) = (
                held.expires_at.duration_since(now),
                holder.expires_at.duration_since(now),
            );
            // Half of a lease is enough: most looks at running work then write nothing.
            let renews = left.as_secs() * 2 < whole.as_secs();
            if renews {
                held.expires_at = holder.expires_at;
            }
            return (None, renews);
        }
        self.holders.retain(|_, held| held.expires_at > now);
        let of_group = self.holders.values().filter(|held| held.group == holder.group);
        if of_group.count() >= limits.per_group {
            let why = format!(
                "{} of {} allowed at once is in progress",
                limits.per_group, holder.group
            );
            return (Some(why), false);
        }
        if self.holders.len() >= limits.total {
            let why = format!(
                "{} of {} allowed at once are in progress",
                self.holders.len(),
                limits.total
            );
            return (Some(why), false);
        }
        self.holders.insert(job.clone(), holder.clone());
        (None, true)
    }
}

/// Takes or keeps a place. Says why there is none, if so.
pub async fn enter(
    catalog: &dyn Catalog,
    name: &str,
    job: &JobId,
    holder: &Holder,
    limits: Limits,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    if records::read::<Semaphore>(catalog, &semaphore_key(name))
        .await?
        .is_none()
    {
        let empty = Semaphore {
            name: name.to_owned(),
            holders: BTreeMap::new(),
        };
        records::insert(catalog, &empty).await?;
    }
    let mut refusal = None;
    let admit = |semaphore: &mut Semaphore| {
        let (why, changed) = semaphore.admit(job, holder, limits, now);
        refusal = why;
        changed
    };
    records::amend(catalog, &semaphore_key(name), admit).await?;
    Ok(refusal)
}

/// Gives a place back, if the job holds one.
pub async fn leave(catalog: &dyn Catalog, name: &str, job: &JobId) -> Result<(), Failure> {
    if records::read::<Semaphore>(catalog, &semaphore_key(name))
        .await?
        .is_none()
    {
        return Ok(());
    }
    let give_back = |semaphore: &mut Semaphore| semaphore.holders.remove(job).is_some();
    records::amend(catalog, &semaphore_key(name), give_back)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    const LIMITS: Limits = Limits { total: 2, per_group: 1 };

    fn empty() -> Semaphore {
        Semaphore {
            name: "copies".into(),
            holders: BTreeMap::new(),
        }
    }

    fn enter_at(semaphore: &mut Semaphore, job: &str, group: &str, now: Timestamp) -> Option<String> {
        let holder = Holder {
            group: group.into(),
            expires_at: Span::minutes(10).after(now),
        };
        semaphore.admit(&JobId::derive(&[job]), &holder, LIMITS, now).0
    }

    #[test]
    fn a_full_semaphore_and_a_full_group_say_so() {
        let mut semaphore = empty();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(enter_at(&mut semaphore, "a", "db", now), None);
        assert_eq!(enter_at(&mut semaphore, "a", "db", now), None, "it is inside already");
        let why = enter_at(&mut semaphore, "b", "db", now).expect("the group is full");
        assert!(why.contains("1 of db"), "{why}");
        assert_eq!(enter_at(&mut semaphore, "c", "other", now), None);
        let why = enter_at(&mut semaphore, "d", "third", now).expect("all places are taken");
        assert!(why.contains("2 of 2"), "{why}");
    }

    #[test]
    fn the_place_of_a_dead_holder_is_free_when_its_lease_runs_out() {
        let mut semaphore = empty();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(enter_at(&mut semaphore, "a", "db", now), None);
        let later = Span::minutes(9).after(now);
        assert!(enter_at(&mut semaphore, "b", "db", later).is_some());
        let expired = Span::minutes(10).after(now);
        assert_eq!(enter_at(&mut semaphore, "b", "db", expired), None);
        assert_eq!(semaphore.holders.len(), 1);
    }

    #[test]
    fn a_place_is_renewed_when_half_of_its_lease_is_over() {
        let mut semaphore = empty();
        let now = Timestamp::UNIX_EPOCH;
        enter_at(&mut semaphore, "a", "db", now);
        for minutes in [6, 12, 18] {
            assert_eq!(
                enter_at(&mut semaphore, "a", "db", Span::minutes(minutes).after(now)),
                None
            );
        }
        let late = Span::minutes(19).after(now);
        assert!(
            enter_at(&mut semaphore, "b", "db", late).is_some(),
            "it was renewed at 18"
        );
    }
}
