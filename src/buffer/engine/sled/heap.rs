//! How the C library's allocator has to treat what sled allocates. Called before a database is opened.
//!
//! Each open database has a table of its pages: 6 MiB of zeros, of which some KiB are ever touched. Taken from the kernel
//! they cost nothing. But glibc learns from the first table that is given back to keep such blocks for itself, and must fill
//! each later one with zeros then: 20 MB of memory more while a backlog is read. With a fixed limit it learns nothing.
#![cfg_attr(
    target_env = "gnu",
    expect(
        unsafe_code,
        reason = "mallopt has no safe wrapper among our dependencies; it takes two numbers and touches no memory of ours"
    )
)]

use std::sync::Once;

/// A block of so many bytes comes from the kernel and goes back to it: glibc's own limit before it learns another one, and the
/// limit of musl.
#[cfg(target_env = "gnu")]
const FROM_KERNEL_BYTES: libc::c_int = 128 << 10;

/// Does it once for the process; elsewhere than with glibc there is nothing to do.
pub(super) fn keep_limit() {
    static DONE: Once = Once::new();
    DONE.call_once(fix);
}

#[cfg(target_env = "gnu")]
fn fix() {
    // SAFETY: it sets a number of the allocator under the allocator's own lock, whatever other threads allocate meanwhile.
    let taken = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, FROM_KERNEL_BYTES) };
    if taken == 0 {
        tracing::debug!(
            "the allocator does not take its limit: more memory is used while a backlog is read"
        );
    }
}

#[cfg(not(target_env = "gnu"))]
fn fix() {}
