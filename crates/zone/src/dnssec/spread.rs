//! Work on the nodes of a zone, spread over threads.
//!
//! Which thread does what follows from the numbers alone, so that the same zone gives the same findings.

use std::num::NonZeroUsize;
use std::ops::Range;

/// Nodes that are done without a break.
const CHUNK: usize = 256;

/// Calls `work` for all of `0..count` in chunks, on so many threads at most, this one among them. Each thread has a
/// state of its own; all of them are returned. This thread calls `between` behind each of its chunks.
pub(crate) fn spread<S: Send>(
    count: usize,
    threads: NonZeroUsize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Range<usize>) + Sync,
    between: &mut dyn FnMut(),
) -> Vec<S> {
    let threads = threads.get().min(count.div_ceil(CHUNK)).max(1);
    let chunks = |first: usize| (first..count.div_ceil(CHUNK)).step_by(threads);
    let range = |chunk: usize| chunk * CHUNK..((chunk + 1) * CHUNK).min(count);
    std::thread::scope(|scope| {
        let (state, work) = (&state, &work);
        let others: Vec<_> = (1..threads)
            .map(|first| {
                scope.spawn(move || {
                    let mut state = state();
                    chunks(first).for_each(|chunk| work(&mut state, range(chunk)));
                    state
                })
            })
            .collect();
        let mut own = state();
        for chunk in chunks(0) {
            work(&mut own, range(chunk));
            between();
        }
        let mut states = vec![own];
        for other in others {
            match other.join() {
                Ok(state) => states.push(state),
                // A bug there is a bug here.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_worked_on_once_however_many_threads_there_are() {
        for (count, threads) in [(0, 1), (1, 4), (255, 2), (256, 2), (257, 2), (5000, 3)] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let parts = spread(count, threads, Vec::new, Vec::extend, &mut || ());
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
            assert!(parts.len() <= threads.get());
        }
    }
}
