//! How the C library's allocator keeps memory that was freed.
//!
//! A reload allocates a few blocks of dozens of megabytes, and frees as many. glibc maps such blocks on their own
//! at first, so that freeing gives them back to the system at once; but with each that is freed it learns to take
//! the next ones from its heap (mallopt(3), M_MMAP_THRESHOLD), where they leave holes. A responder with one zone
//! of a million records thus grew from 60 MB to 230 MB in ten reloads, with 60 MB in use.

/// Blocks of this many octets and more are mapped on their own. Smaller ones are too many for a mapping each;
/// larger ones are few, and live as long as a zone does.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 1 << 20;

/// From now on, large blocks that are freed go back to the system at once, in the whole process. The query path
/// has none. Does nothing with C libraries that always behave so.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: no pointers; glibc takes its own lock before it changes the parameter.
        let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
        // It refuses only values above half of its largest heap, which is far more.
        debug_assert_eq!(done, 1);
    }
}

/// Gives memory that was freed and lies between what is in use back to the system, as far as whole pages are free. To be
/// called after a load, which leaves many; it takes a few milliseconds and none of the query path's.
pub fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: no pointers; glibc takes the locks of its heaps one by one.
        unsafe { libc::malloc_trim(0) };
    }
}
