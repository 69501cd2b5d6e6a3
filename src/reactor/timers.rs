//! stand-in
use super::wakers::WakerBatch;
use std::time::Duration;
#[derive(Debug)]
pub(crate) struct Timers;
impl Timers {
    pub(crate) fn new() -> Timers {
        Timers
    }
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
    pub(crate) fn begin_sleep(&mut self, limit: Option<Duration>) -> Option<Duration> {
        limit
    }
    pub(crate) fn end_sleep(&mut self) {}
    pub(crate) fn expire(&mut self, _now: u64, _batch: &mut WakerBatch) -> bool {
        false
    }
    pub(crate) fn wake_all_into(&mut self, _batch: &mut WakerBatch) -> bool {
        false
    }
}
