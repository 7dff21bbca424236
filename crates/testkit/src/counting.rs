//! An allocator that counts: how often each thread asks for memory.
//!
//! What must not allocate is held to it by a test that makes [`Counting`] its global allocator,
//! `#[global_allocator] static ALLOCATOR: Counting = Counting;`, and asks for the [`allocations`] of some work, or for the
//! [`counts`] of threads.
//!
//! Each thread has a number, given at its first allocation, so that a test can tell the threads that it had made from
//! those that were there before. Memory that is given back is not counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads that can be told apart: far more than any test has. What is more is counted together, and refused by
/// [`counts`] and [`allocations`].
const THREADS: usize = 256;

static COUNTS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// The number of the next thread; zero is nobody's.
static NEXT: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    /// The thread's number; zero before its first allocation. It needs neither memory nor a destructor.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is one by contract with the compiler; no product links this crate"
)]
// SAFETY: every call is passed on to the system's allocator unchanged; the counters are plain numbers that need no
// allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTS[number()].fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of GlobalAlloc::alloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from System.alloc with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn number() -> usize {
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed).min(THREADS - 1));
        }
        number.get()
    })
}

/// The number that the next thread will have.
///
/// # Panics
/// If there are too many to tell apart.
pub fn next_thread() -> usize {
    let next = NEXT.load(Ordering::Relaxed);
    assert!(next < THREADS, "too many threads to tell apart");
    next
}

/// Allocations so far of the threads with these numbers.
///
/// # Panics
/// If there are too many threads to tell apart.
pub fn counts(threads: Range<usize>) -> Vec<u64> {
    assert!(threads.end <= next_thread(), "threads that are not there yet");
    COUNTS[threads].iter().map(|count| count.load(Ordering::Relaxed)).collect()
}

/// How often the calling thread allocates while `work` runs.
///
/// # Panics
/// If there are too many threads to tell apart.
pub fn allocations(work: impl FnOnce()) -> u64 {
    let count = &COUNTS[number()];
    let before = count.load(Ordering::Relaxed);
    work();
    let after = count.load(Ordering::Relaxed);
    next_thread();
    after - before
}
