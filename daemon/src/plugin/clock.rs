//! The clock that interrupts plugins: it ticks while a call runs, and stands while none does.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

/// The longest that a plugin runs without giving way to others.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// A thread that ticks. Clones share it.
#[derive(Clone)]
pub(super) struct Clock {
    state: Arc<State>,
    thread: Thread,
}

#[derive(Default)]
struct State {
    running: AtomicUsize,
    /// A call ran since the last tick: calls that follow each other closely do not wake the thread one by one.
    called: AtomicBool,
    parked: AtomicBool,
    ending: AtomicBool,
}

/// A call runs; dropped, it runs no more.
pub(super) struct Running<'a>(&'a State);

impl Clock {
    /// A clock that does `tick` each [`TICK`] while a call runs, until that breaks or the clock is told to end.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(tick: impl FnMut() -> ControlFlow<()> + Send + 'static) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let builder = thread::Builder::new().name("plugin-clock".to_owned());
        let thread = builder.spawn(move || shared.keep(tick))?.thread().clone();
        Ok(Self { state, thread })
    }

    /// A call begins.
    pub(super) fn run(&self) -> Running<'_> {
        let state = &*self.state;
        state.called.store(true, Ordering::Relaxed);
        // before the look at `parked`, as the thread sets that before it looks at `running`: one of both sees the other
        state.running.fetch_add(1, Ordering::SeqCst);
        if state.parked.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(state)
    }

    /// Ends it, within a tick.
    pub(super) fn end(&self) {
        self.state.ending.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl State {
    fn keep(&self, mut tick: impl FnMut() -> ControlFlow<()>) {
        while !self.ending.load(Ordering::SeqCst) {
            if self.is_idle() {
                self.parked.store(true, Ordering::SeqCst);
                if self.is_idle() && !self.ending.load(Ordering::SeqCst) {
                    thread::park();
                }
                self.parked.store(false, Ordering::SeqCst);
                continue;
            }
            self.called.store(false, Ordering::Relaxed);
            thread::sleep(TICK);
            if tick().is_break() {
                return;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0 && !self.called.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn it_ticks_while_a_call_runs_and_stands_while_none_does() {
        let ticks = Arc::new(AtomicUsize::new(0));
        let count = ticks.clone();
        let clock = Clock::start(move || {
            count.fetch_add(1, Ordering::SeqCst);
            ControlFlow::Continue(())
        })
        .unwrap();
        let stands = || clock.state.parked.load(Ordering::SeqCst);
        eventually("it stands before the first call", stands);
        for round in 0..3 {
            let before = ticks.load(Ordering::SeqCst);
            let (one, other) = (clock.run(), clock.run());
            eventually("it ticks", || ticks.load(Ordering::SeqCst) > before + 2);
            drop(one);
            let before = ticks.load(Ordering::SeqCst);
            eventually("it ticks for the other call", || ticks.load(Ordering::SeqCst) > before + 2);
            drop(other);
            eventually("it stands after the calls", stands);
            assert!(ticks.load(Ordering::SeqCst) > 0, "{round}");
        }
        clock.end();
        let state = Arc::downgrade(&clock.state);
        drop(clock);
        eventually("the thread ends", || state.strong_count() == 0);
    }
}
