//! A mutex whose holder gets the precedence of whoever waits for it.
//!
//! Threads that keep a route run before all others, and share state with threads that do not. Of an ordinary lock the
//! former would wait until the latter have a turn, which on a machine whose cores are taken may be long: priority inversion.
//! The kernel knows a remedy (priority inheritance, futex(2) FUTEX_LOCK_PI): who holds such a lock runs as if it were the
//! most urgent of those who wait, until it lets go.
//!
//! The kernel's lock is a gate before an ordinary mutex, and no more than a help: what is guarded is guarded by the
//! mutex alone. Where the kernel has no such locks, threads pass the gate as if there were none. Caller: the sidecar's
//! keeper.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::thread::futex::{Flags, lock_pi, unlock_pi};

/// The mutex.
pub struct InheritingMutex<T> {
    /// Zero, or the number of the thread that holds it; the kernel adds a bit while others wait (futex(2)).
    gate: AtomicU32,
    inner: Mutex<T>,
}

/// Access to what is guarded.
pub struct Guard<'a, T> {
    // Let go first, so that whoever comes through the gate finds it free.
    inner: MutexGuard<'a, T>,
    _passed: Passed<'a>,
}

/// Whether the gate has to be opened for the next.
struct Passed<'a>(Option<&'a AtomicU32>);

thread_local! {
    static THREAD: u32 = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
}

impl<T> InheritingMutex<T> {
    /// Guards a value.
    pub const fn new(value: T) -> Self {
        Self { gate: AtomicU32::new(0), inner: Mutex::new(value) }
    }

    /// Waits until nobody else has access. A panic of somebody who had it leaves the value as it was then.
    pub fn lock(&self) -> Guard<'_, T> {
        let passed = Passed::through(&self.gate);
        Guard { inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner), _passed: passed }
    }
}

impl<'a> Passed<'a> {
    fn through(gate: &'a AtomicU32) -> Self {
        let thread = THREAD.with(|thread| *thread);
        if gate.compare_exchange(0, thread, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Self(Some(gate));
        }
        loop {
            match lock_pi(gate, Flags::PRIVATE, None) {
                Ok(()) => return Self(Some(gate)),
                // The holder is ending, or a signal came in between.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // The mutex stands behind the gate.
                Err(_) => return Self(None),
            }
        }
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        let Some(gate) = self.0 else { return };
        let thread = THREAD.with(|thread| *thread);
        if gate.compare_exchange(thread, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            // Others wait. It fails for who does not hold the gate, which cannot be.
            let _ = unlock_pi(gate, Flags::PRIVATE);
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: fmt::Debug> fmt::Debug for InheritingMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::urgency::{Duty, Urgency, prefer_current_thread};
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    #[test]
    fn one_thread_at_a_time_has_access() {
        let count = InheritingMutex::new(0_u32);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut held = count.lock();
                        *held = std::hint::black_box(*held) + 1;
                    }
                });
            }
        });
        assert_eq!(*count.lock(), 40_000);
        assert_eq!(count.gate.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_of_the_holder_leaves_the_mutex_open() {
        let value = InheritingMutex::new(7);
        let panicked = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let _held = value.lock();
                panic!("on purpose");
            });
            thread.join().is_err()
        });
        assert!(panicked);
        assert_eq!(*value.lock(), 7);
    }

    /// The precedence at which the kernel runs the calling thread at present, proc(5): below zero before all ordinary ones.
    fn precedence() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        after_name.split(' ').nth(15).unwrap().parse().unwrap()
    }

    #[test]
    fn the_holder_runs_with_the_precedence_of_who_waits_and_no_longer_than_it_holds() {
        let value = InheritingMutex::new(());
        let held = Barrier::new(2);
        let granted = std::thread::scope(|scope| {
            let urgent = scope.spawn(|| {
                let granted = prefer_current_thread(Duty::Route);
                held.wait();
                drop(value.lock());
                granted
            });
            let guard = value.lock();
            let before = precedence();
            assert!(before >= 0, "an ordinary thread runs at {before}");
            held.wait();
            // Against a hang, and for machines where nobody is granted precedence.
            let begun = Instant::now();
            while precedence() >= 0 && begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let boosted = precedence();
            drop(guard);
            assert_eq!(precedence(), before);
            (urgent.join().unwrap(), boosted)
        });
        match granted {
            (Urgency::RealTime, boosted) => assert!(boosted < 0, "{boosted}"),
            (other, _) => println!("not shown: a thread that waits is only {other}"),
        }
    }
}
