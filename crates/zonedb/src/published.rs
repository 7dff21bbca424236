//! One value in force, replaced whole while others read it.
//!
//! Readers are the workers of the query path: [`Reader::get`] costs one load of a counter while nothing
//! changed, and one short lock when something did. A replaced value is kept in a list of the retired until
//! no reader holds it, and then freed by whoever sweeps: freeing an image of a million records takes long
//! enough to be seen by clients, so a worker never does it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What becomes of the value that is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retire {
    /// It is freed by a later [`Published::sweep`], once no reader holds it.
    WhenUnread,
}

/// The value in force and the replaced ones that are still read.
#[derive(Debug)]
pub struct Published<T> {
    generation: AtomicU64,
    current: Mutex<Arc<T>>,
    retired: Mutex<Vec<Arc<T>>>,
}

impl<T> Published<T> {
    /// Puts the first value in force, as generation 1.
    pub fn new(first: Arc<T>) -> Arc<Self> {
        Arc::new(Self {
            generation: AtomicU64::new(1),
            current: Mutex::new(first),
            retired: Mutex::default(),
        })
    }

    /// Puts `next` in force and returns its generation.
    pub fn publish(&self, next: Arc<T>, retire: Retire) -> u64 {
        let mut current = lock(&self.current);
        let replaced = std::mem::replace(&mut *current, next);
        match retire {
            Retire::WhenUnread => lock(&self.retired).push(replaced),
        }
        // Counted while the lock is held, so that the order of generations is the order of values.
        self.generation.fetch_add(1, Ordering::Release) + 1
    }

    /// The value in force.
    pub fn current(&self) -> Arc<T> {
        lock(&self.current).clone()
    }

    /// How many values have been in force, the present one included.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Frees the retired values that nobody reads any more; returns how many are still read.
    pub fn sweep(&self) -> usize {
        let mut unread = Vec::new();
        let left = {
            let mut retired = lock(&self.retired);
            // A count of one is ours alone, and nobody can take another from a retired value.
            unread.extend(retired.extract_if(.., |value| Arc::strong_count(value) == 1));
            retired.len()
        };
        drop(unread); // outside the lock
        left
    }

    /// A reader that starts with the value in force.
    pub fn reader(self: &Arc<Self>) -> Reader<T> {
        let current = lock(&self.current);
        Reader { generation: self.generation(), held: current.clone(), published: self.clone() }
    }
}

/// One thread's view of a published value.
#[derive(Debug)]
pub struct Reader<T> {
    published: Arc<Published<T>>,
    generation: u64,
    held: Arc<T>,
}

impl<T> Reader<T> {
    /// The value in force now; to be called once per batch.
    #[inline]
    pub fn get(&mut self) -> &T {
        if self.published.generation.load(Ordering::Acquire) != self.generation {
            self.renew();
        }
        &self.held
    }

    #[cold]
    fn renew(&mut self) {
        let current = lock(&self.published.current);
        self.generation = self.published.generation();
        self.held = current.clone();
    }
}

/// A panic elsewhere cannot leave these values half changed, so poison is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_published_last() {
        let published = Published::new(Arc::new(1));
        let mut reader = published.reader();
        assert_eq!(*reader.get(), 1);
        published.publish(Arc::new(2), Retire::WhenUnread);
        assert_eq!(published.publish(Arc::new(3), Retire::WhenUnread), 3);
        assert_eq!(*reader.get(), 3);
    }

    #[test]
    fn a_reader_never_frees_what_it_read() {
        let first = Arc::new(1);
        let watch = Arc::downgrade(&first);
        let published = Published::new(first);
        let mut reader = published.reader();
        published.publish(Arc::new(2), Retire::WhenUnread);
        assert_eq!(published.sweep(), 1, "still read");
        assert_eq!(*reader.get(), 2);
        assert!(watch.upgrade().is_some(), "the reader let go, and the value lives");
        assert_eq!(published.sweep(), 0);
        assert!(watch.upgrade().is_none());
    }

    #[test]
    fn readers_in_other_threads_see_generations_in_order() {
        let published = Published::new(Arc::new(0u64));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let mut reader = published.reader();
                scope.spawn(move || {
                    let mut last = 0;
                    while last < 1000 {
                        let now = *reader.get();
                        assert!(now >= last);
                        last = now;
                    }
                });
            }
            for value in 1..=1000 {
                published.publish(Arc::new(value), Retire::WhenUnread);
                published.sweep();
            }
        });
        assert_eq!(published.sweep(), 0);
    }
}
