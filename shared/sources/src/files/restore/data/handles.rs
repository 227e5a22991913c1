//! [`Handles`]: open files of a batch, not too many at a time.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags, fstat, ftruncate};
use rustix::io::{Errno, Result};

use super::super::report::locked;
use super::super::target::Target;

/// Files held open at a time, apart from those in use right now.
const OPEN_AT_MOST: usize = 256;

/// Where a file is, and how it comes to be.
pub(super) struct Origin<'a> {
    /// Below the target.
    pub(super) path: &'a Path,
    /// Its length in the end.
    pub(super) length: u64,
    /// It is made when it is first opened; otherwise it must be there.
    pub(super) make: bool,
}

struct Slot<'a> {
    origin: Origin<'a>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    handle: Option<Arc<OwnedFd>>,
    /// Made, and of its final length.
    sized: bool,
}

pub(super) struct Handles<'a> {
    target: &'a Target,
    slots: Vec<Slot<'a>>,
    /// The files that are open, oldest first.
    opened: Mutex<VecDeque<usize>>,
}

impl<'a> Handles<'a> {
    pub(super) fn new(target: &'a Target, origins: Vec<Origin<'a>>) -> Handles<'a> {
        let slots = origins
            .into_iter()
            .map(|origin| Slot {
                origin,
                state: Mutex::default(),
            })
            .collect();
        Handles {
            target,
            slots,
            opened: Mutex::default(),
        }
    }

    /// The file, open for reading and writing, made and sized when this is the first time.
    pub(super) fn open(&self, number: usize) -> Result<Arc<OwnedFd>> {
        let slot = &self.slots[number];
        let handle = {
            let mut state = locked(&slot.state);
            if let Some(handle) = &state.handle {
                return Ok(Arc::clone(handle));
            }
            let handle = Arc::new(self.open_anew(&slot.origin, &mut state.sized)?);
            state.handle = Some(Arc::clone(&handle));
            handle
        };
        let oldest = {
            let mut opened = locked(&self.opened);
            opened.push_back(number);
            if opened.len() > OPEN_AT_MOST {
                opened.pop_front()
            } else {
                None
            }
        };
        if let Some(oldest) = oldest {
            self.close(oldest);
        }
        Ok(handle)
    }

    /// Closes a file once nobody works with it; it can be opened again.
    pub(super) fn close(&self, number: usize) {
        locked(&self.slots[number].state).handle = None;
    }

    fn open_anew(&self, origin: &Origin<'_>, sized: &mut bool) -> Result<OwnedFd> {
        // NONBLOCK: a named pipe put there in between must not hold up the restore.
        let mut flags = OFlags::RDWR | OFlags::NONBLOCK;
        if origin.make && !*sized {
            flags |= OFlags::CREATE | OFlags::EXCL;
        }
        let file = self.target.open(origin.path, flags, Mode::RUSR | Mode::WUSR)?;
        if !*sized {
            let length = u64::try_from(fstat(&file)?.st_size).map_err(|_| Errno::FBIG)?;
            if length != origin.length {
                ftruncate(&file, origin.length)?;
            }
            *sized = true;
        }
        Ok(file)
    }
}
