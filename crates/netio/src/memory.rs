//! How the C library's allocator keeps memory that was freed, and on which pages the kernel keeps what is in use.
//!
//! A reload allocates a few blocks of dozens of megabytes, and frees as many. glibc maps such blocks on their own
//! at first, so that freeing gives them back to the system at once; but with each that is freed it learns to take
//! the next ones from its heap (mallopt(3), M_MMAP_THRESHOLD), where they leave holes. A responder with one zone
//! of a million records thus grew from 60 MB to 230 MB in ten reloads, with 60 MB in use.

use std::ops::Range;

/// What a huge page has on x86-64, and on ARM with small pages of 4 KiB: where it has another size, nothing is gained.
const HUGE_PAGE: usize = 2 << 20;
/// The advice (Linux 6.1), which not every C library has a name for.
const MADV_COLLAPSE: libc::c_int = 25;

/// Blocks of this many octets and more are mapped on their own. Smaller ones are too many for a mapping each;
/// larger ones are few, and live as long as a zone does.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 1 << 20;

/// Free octets at the end of a heap that stay there. With a few, each of ten thousand small zones has the heap grow and
/// shrink again.
#[cfg(target_env = "gnu")]
const KEPT_FREE: libc::c_int = 1 << 20;

/// From now on, large blocks that are freed go back to the system at once, in the whole process. The query path
/// has none. Does nothing with C libraries that always behave so.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: no pointers; glibc takes its own lock before it changes the parameter.
        let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
        // It refuses only values above half of its largest heap, which is far more.
        debug_assert_eq!(done, 1);
        // SAFETY: as above.
        let done = unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_FREE) };
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

/// Puts memory of this process that is in use, given by its addresses, onto huge pages as far as it fills any, so that
/// finding something in dozens of megabytes does not mostly wait for the tables of pages. The content stays, and whoever
/// reads it meanwhile waits for a fraction of a millisecond at most; page by page, so that other threads of the same
/// CPU, which the kernel does not run while it copies, wait no longer. A kernel before Linux 6.1 is told to do it when it
/// finds time; where huge pages are switched off nothing happens.
///
/// # Errors
/// What the kernel said of the first part that it could not move, mostly that it has no huge page left. Nothing is
/// wrong then but the speed.
pub fn use_huge_pages(memory: Range<usize>) -> std::io::Result<()> {
    let whole = whole_pages(memory);
    expect_huge_pages(whole.clone())?;
    let mut first_error = Ok(());
    for page in whole.step_by(HUGE_PAGE) {
        match advise(page..page + HUGE_PAGE, MADV_COLLAPSE) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(()),
            // One page that cannot move keeps none of the others.
            Err(error) if first_error.is_ok() => first_error = Err(error),
            _ => {}
        }
        std::thread::yield_now();
    }
    first_error
}

/// Has the kernel put what is not there yet onto huge pages, as far as this memory fills any, when it is first written
/// to: one of them takes less time than the 512 small ones that it stands for.
///
/// # Errors
/// What the kernel said. Nothing is wrong then but the speed.
pub fn expect_huge_pages(memory: Range<usize>) -> std::io::Result<()> {
    match whole_pages(memory) {
        none if none.is_empty() => Ok(()),
        whole => advise(whole, libc::MADV_HUGEPAGE),
    }
}

/// The huge pages that lie in it.
fn whole_pages(memory: Range<usize>) -> Range<usize> {
    memory.start.next_multiple_of(HUGE_PAGE)..memory.end / HUGE_PAGE * HUGE_PAGE
}

fn advise(memory: Range<usize>, advice: libc::c_int) -> std::io::Result<()> {
    let start = std::ptr::without_provenance_mut(memory.start);
    // SAFETY: these kinds of advice change neither the content of any memory nor what may be done with it, only the pages
    // behind it; so any range is sound, and one that is not mapped is an error.
    crate::sys::check(unsafe { libc::madvise(start, memory.len(), advice) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_to_huge_pages_keeps_its_content() {
        let block: Vec<u32> = (0..3 << 20).collect();
        let all = block.as_ptr_range();
        // Where there are no huge pages, that is no fault of ours.
        let _ = use_huge_pages(all.start as usize..all.end as usize);
        assert!(block.iter().copied().eq(0..3 << 20));
        use_huge_pages(all.start as usize..all.start as usize + 100).unwrap();
        expect_huge_pages(all.start as usize..all.start as usize + 100).unwrap();
    }
}
