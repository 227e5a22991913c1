//! How far the schedule has been worked off. It spares the scheduler the question, for each rule and resource at each wake-up,
//! what was recorded last: ten thousand policies are no dearer to wake up for than those of them that are due.

use holdfast_core::domain::{Failure, FailureKind, Span};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, ScheduleProgress, Stored};
use jiff::Timestamp;

/// How long before the last look a rule may have come into force without that look having seen it: a configuration is
/// applied within the fifteen minutes that an invocation lasts at most, by a clock that may be two minutes off.
const LOOK_BACK: Span = Span::minutes(20);

/// What a look at the schedule begins from.
pub struct Progress {
    began_at: Timestamp,
    stored: Option<Stored<ScheduleProgress>>,
}

impl Progress {
    /// Reads it. This comes before anything else that a look reads.
    pub async fn read(world: &World) -> Result<Self, Failure> {
        let began_at = world.now();
        let stored = records::read(world.catalog.as_ref(), &records::schedule_progress_key()).await?;
        Ok(Self { began_at, stored })
    }

    /// When the last look began that left nothing undone; never later than this one, whatever that one's clock said.
    pub fn last_look(&self) -> Timestamp {
        let recorded_until = self.stored.as_ref().map(|stored| stored.value.recorded_until);
        recorded_until.map_or(Timestamp::MIN, |until| until.min(self.began_at))
    }

    /// Up to when every due occurrence is on record, also those of rules that the last look may not have seen.
    pub fn settled_until(&self) -> Timestamp {
        LOOK_BACK.before(self.last_look())
    }

    /// Records that this look left nothing undone. Of two looks at once, the one that comes second changes nothing.
    pub async fn complete(self, world: &World) -> Result<(), Failure> {
        let progress = ScheduleProgress {
            recorded_until: self.began_at,
        };
        let Some(mut stored) = self.stored else {
            records::insert(world.catalog.as_ref(), &progress).await?;
            return Ok(());
        };
        stored.value = progress;
        match records::update(world.catalog.as_ref(), &mut stored).await {
            Err(failure) if failure.kind != FailureKind::Conflict => Err(failure),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
