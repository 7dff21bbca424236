//! What the allocator keeps, alone in its process: every other test's memory would count as well.

use pharos_netio::memory::give_back_large_blocks;

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of each process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("and of its memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("as a number")
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
