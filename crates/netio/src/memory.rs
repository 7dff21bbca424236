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

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_large_block_that_was_freed_is_not_kept_even_after_many() {
        const OCTETS: usize = 24 << 20;
        give_back_large_blocks();
        let before = resident_kib();
        for _ in 0..4 {
            // What lives on above a hole in the heap keeps the heap from shrinking.
            let block = vec![1_u8; OCTETS];
            let small = vec![1_u8; 1000];
            drop(std::hint::black_box(block));
            std::mem::forget(std::hint::black_box(small));
        }
        let after = resident_kib();
        assert!(after < before + OCTETS / 1024 / 2, "{before} KiB before, {after} KiB after");
    }
}
