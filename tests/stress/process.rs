//! What this process holds: counted before and after, as exactly as the system tells.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is there at one moment. `None` where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Descriptors, or handles.
    pub descriptors: Option<usize>,
    pub threads: Option<usize>,
}

impl Held {
    pub fn now() -> Held {
        Held {
            descriptors: system::descriptors(),
            threads: system::threads(),
        }
    }

    /// Waits until no more is held than `before`. Some of it goes a moment later than its owner: a thread
    /// that has been joined, a queue that has been closed (libkqueue has a thread that frees its parts).
    pub fn returns_to(before: Held) -> Held {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let now = Held::now();
            if !now.is_more_than(before) || Instant::now() > deadline {
                return now;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_more_than(self, other: Held) -> bool {
        self.descriptors > other.descriptors || self.threads > other.threads
    }
}

/// How much memory the system says that this process uses, in KiB.
pub fn resident_kib() -> Option<usize> {
    system::resident_kib()
}

/// The memory that is allocated and not freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub blocks: i64,
    pub bytes: i64,
}

impl Memory {
    pub fn now() -> Memory {
        Memory {
            blocks: BLOCKS.load(Ordering::Relaxed),
            bytes: BYTES.load(Ordering::Relaxed),
        }
    }

    pub fn since(self, before: Memory) -> Memory {
        Memory {
            blocks: self.blocks - before.blocks,
            bytes: self.bytes - before.bytes,
        }
    }
}

static BLOCKS: AtomicI64 = AtomicI64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, which counts.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(blocks: i64, bytes: usize, is_gain: bool) {
    let bytes = bytes as i64;
    BLOCKS.fetch_add(blocks, Ordering::Relaxed);
    BYTES.fetch_add(if is_gain { bytes } else { -bytes }, Ordering::Relaxed);
}

// SAFETY: everything is left to `System`, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), true);
        // SAFETY: the contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-1, layout.size(), false);
        // SAFETY: the contract is passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(0, layout.size(), false);
        count(0, size, true);
        // SAFETY: the contract is passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[cfg(unix)]
mod system {
    use std::fs;

    /// The descriptor of the folder that is read is counted always.
    pub fn descriptors() -> Option<usize> {
        Some(fs::read_dir("/proc/self/fd").ok()?.count())
    }

    pub fn threads() -> Option<usize> {
        Some(fs::read_dir("/proc/self/task").ok()?.count())
    }

    pub fn resident_kib() -> Option<usize> {
        let pages = fs::read_to_string("/proc/self/statm").ok()?;
        let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4)
    }
}

#[cfg(windows)]
mod system {
    use std::mem::{size_of, zeroed};
    use std::ptr::null_mut;

    use windows_sys::Wdk::System::SystemInformation::{
        NtQuerySystemInformation, SYSTEM_INFORMATION_CLASS,
    };
    use windows_sys::Win32::Foundation::{CloseHandle, INVALID_HANDLE_VALUE};
    use windows_sys::Win32::System::Diagnostics::ToolHelp::{
        CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
    };
    use windows_sys::Win32::System::ProcessStatus::{
        K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS,
    };
    use windows_sys::Win32::System::Threading::GetCurrentProcess;

    /// What SystemExtendedHandleInformation tells of one handle.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Handle {
        object: usize,
        process: usize,
        rest: [usize; REST],
    }

    /// A handle, and 16 bytes of smaller things.
    const REST: usize = 1 + 16 / size_of::<usize>();

    const SYSTEM_EXTENDED_HANDLE_INFORMATION: SYSTEM_INFORMATION_CLASS = 64;

    /// By the list of all handles of all processes: Wine does not answer GetProcessHandleCount.
    pub fn descriptors() -> Option<usize> {
        // The first one is the head: how many there are, and something reserved.
        let empty = Handle {
            object: 0,
            process: 0,
            rest: [0; REST],
        };
        let mut list = vec![empty; 64 * 1024];
        let head = 2 * size_of::<usize>();
        // The list follows the head without a gap, so that it begins where `list[1]` does.
        let offset = size_of::<Handle>() - head;
        let room = (list.len() - 1) * size_of::<Handle>() + head;
        let place = list.as_mut_ptr().cast::<u8>().wrapping_add(offset);
        // SAFETY: NtQuerySystemInformation asks for a place that may be written, of that many bytes.
        let status = unsafe {
            NtQuerySystemInformation(
                SYSTEM_EXTENDED_HANDLE_INFORMATION,
                place.cast(),
                room as u32,
                null_mut(),
            )
        };
        if status < 0 {
            return None;
        }
        let own = std::process::id() as usize;
        let count = list[1..].iter().filter(|handle| handle.process == own);
        Some(count.count()).filter(|count| *count > 0)
    }

    pub fn threads() -> Option<usize> {
        // SAFETY: CreateToolhelp32Snapshot asks for nothing.
        let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
        if snapshot == INVALID_HANDLE_VALUE {
            return None;
        }
        // SAFETY: THREADENTRY32 is made of numbers, for which zero is a value.
        let mut entry: THREADENTRY32 = unsafe { zeroed() };
        entry.dwSize = size_of::<THREADENTRY32>() as u32;
        let mut count = 0;
        // SAFETY: Thread32First asks for a snapshot, as above, and an entry that knows its size.
        let mut is_entry = unsafe { Thread32First(snapshot, &mut entry) } != 0;
        while is_entry {
            count += usize::from(entry.th32OwnerProcessID == std::process::id());
            // SAFETY: Thread32Next asks for the same.
            is_entry = unsafe { Thread32Next(snapshot, &mut entry) } != 0;
        }
        // SAFETY: CloseHandle asks for a handle of ours, which is used no more.
        unsafe { CloseHandle(snapshot) };
        Some(count)
    }

    pub fn resident_kib() -> Option<usize> {
        // SAFETY: PROCESS_MEMORY_COUNTERS is made of numbers, for which zero is a value.
        let mut counters: PROCESS_MEMORY_COUNTERS = unsafe { zeroed() };
        let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
        // SAFETY: GetCurrentProcess asks for nothing.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: K32GetProcessMemoryInfo asks for a process, as above, and a place of that size.
        let is_told = unsafe { K32GetProcessMemoryInfo(process, &mut counters, size) } != 0;
        is_told.then_some(counters.WorkingSetSize / 1024)
    }
}
