//! Probes of a world that answers unless a test says otherwise.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use holdfast_core::domain::{Answer, Failure, FailureKind, Probe};
use holdfast_core::ports::Probes;

use super::locked;

/// Everything answers but what was silenced.
#[derive(Debug, Default)]
pub struct FakeProbes {
    silent: Mutex<BTreeSet<String>>,
}

impl FakeProbes {
    /// From now on this URL, address or server does not answer, or does again.
    pub fn set_silent(&self, place: &str, silent: bool) {
        let mut places = locked(&self.silent);
        if silent {
            places.insert(place.to_owned());
        } else {
            places.remove(place);
        }
    }
}

#[async_trait]
impl Probes for FakeProbes {
    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure> {
        let place = match probe {
            Probe::Http { url, .. } => url,
            Probe::Tcp { address } => address,
            Probe::Sql { server, .. } => server,
        };
        let can_be_asked = match probe {
            Probe::Http { url, .. } => url.starts_with("http://") || url.starts_with("https://"),
            Probe::Tcp { address } => address.contains(':'),
            Probe::Sql { .. } => true,
        };
        if !can_be_asked {
            let message = format!("probe of {place}: nobody could ask it");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let holds = !locked(&self.silent).contains(place);
        let note = if holds { "it answers" } else { "no answer" };
        Ok(Answer {
            holds,
            note: note.to_owned(),
        })
    }
}
