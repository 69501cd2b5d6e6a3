//! Chooses the poller, and turns the target into nouns.
//!
//! This is the one file that knows the names of operating systems. It answers two questions and
//! writes the answers down as `cfg`s for the source to read:
//!
//! * *What is there?* One `has_<noun>` for everything that the source may lean on (`has_epoll`,
//!   `has_pidfd`, ...). A backend is compiled wherever its `has_*` is set.
//! * *Which one is it?* `poller = "<name>"`: the backend that `OsPoller` means.
//!
//! | target | default | also |
//! |---|---|---|
//! | Linux, Android | `epoll` | `poll`; `kqueue` through the system library libkqueue |
//! | Apple's systems, the BSDs | `kqueue` | `poll` |
//! | Windows | `iocp` | |
//! | another Unix | `poll` | |
//!
//! The variable `EKIO_POLLER` overrides the default. Private cfgs, for our own CI, take a noun
//! away and thereby force the fallback: `RUSTFLAGS="--cfg ekio_no_pwait2"` and so on, one for each
//! entry of [`FALLBACKS`]. Those that begin with `ekio_stand_in_` put something of the tests' in the
//! place of what this machine's system lacks.

use std::{env, process::Command};

/// Every backend, in the order of the table above.
const POLLERS: [&str; 4] = ["epoll", "kqueue", "poll", "iocp"];

/// Nouns that can be taken away by `--cfg ekio_no_<noun>`.
const FALLBACKS: [&str; 7] = [
    "pwait2",
    "ppoll",
    "pidfd",
    "eventfd",
    "evfilt_user",
    "wait_packets",
    "task_reuse",
];

/// Nouns for which tests have a stand-in, put in the system's place by `--cfg ekio_stand_in_<noun>`.
const STAND_INS: [&str; 1] = ["wait_packets"];

/// Nouns that describe the target and have no fallback to force.
const FACTS: [&str; 19] = [
    "libkqueue",
    "errno_location",
    "errno_error",
    "errno_errno",
    "evfilt_except",
    "pipe2",
    "pollrdhup",
    "sock_cloexec",
    "msg_nosignal",
    "so_nosigpipe",
    "reuseport",
    "abstract_names",
    "coarse_clock",
    "std_os_android",
    "so_peercred",
    "getpeereid",
    "local_peerpid",
    "linger_sec",
    "fibers",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EKIO_POLLER");
    declare_cfgs();

    let target = Target::from_cargo();
    let wanted = env::var("EKIO_POLLER").ok().filter(|name| !name.is_empty());
    let poller = match wanted.as_deref() {
        None => target.default_poller(),
        Some(name) => target.check(name).unwrap_or_else(|why| fail(&why)),
    };
    println!("cargo::rustc-cfg=poller=\"{poller}\"");

    if target.is_linux() && poller == "kqueue" {
        link_libkqueue();
        println!("cargo::rustc-cfg=has_libkqueue");
    }
    for noun in target.nouns(poller) {
        if !is_taken_away(noun) {
            println!("cargo::rustc-cfg=has_{noun}");
        }
    }
}

/// What Cargo says of the target.
struct Target {
    os: String,
    arch: String,
    vendor: String,
    is_unix: bool,
    is_windows: bool,
    is_miri: bool,
}

impl Target {
    fn from_cargo() -> Target {
        Target {
            os: env::var("CARGO_CFG_TARGET_OS").unwrap_or_default(),
            arch: env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default(),
            vendor: env::var("CARGO_CFG_TARGET_VENDOR").unwrap_or_default(),
            is_unix: env::var_os("CARGO_CFG_UNIX").is_some(),
            is_windows: env::var_os("CARGO_CFG_WINDOWS").is_some(),
            is_miri: env::var_os("CARGO_CFG_MIRI").is_some(),
        }
    }

    fn is_linux(&self) -> bool {
        matches!(self.os.as_str(), "linux" | "android")
    }

    fn is_apple(&self) -> bool {
        self.vendor == "apple"
    }

    fn is_bsd(&self) -> bool {
        matches!(
            self.os.as_str(),
            "freebsd" | "netbsd" | "openbsd" | "dragonfly"
        )
    }

    /// The backends that compile here, the default first.
    fn pollers(&self) -> &'static [&'static str] {
        if self.is_linux() {
            &["epoll", "poll", "kqueue"]
        } else if self.is_apple() || self.is_bsd() {
            &["kqueue", "poll"]
        } else if self.is_windows {
            &["iocp"]
        } else if self.is_unix {
            &["poll"]
        } else {
            &[]
        }
    }

    /// What libc calls the function that says where `errno` is: `__errno_location`, `__error`, or
    /// `__errno`.
    fn errno(&self) -> Option<&'static str> {
        match self.os.as_str() {
            "linux" | "dragonfly" => Some("errno_location"),
            "freebsd" => Some("errno_error"),
            "android" | "netbsd" | "openbsd" => Some("errno_errno"),
            _ => self.is_apple().then_some("errno_error"),
        }
    }

    fn default_poller(&self) -> &'static str {
        self.pollers().first().unwrap_or_else(|| {
            fail(&format!(
                "ekio has no event queue for the system {:?}",
                self.os
            ))
        })
    }

    fn check(&self, name: &str) -> Result<&'static str, String> {
        let known = POLLERS.into_iter().find(|poller| *poller == name);
        let known = known.ok_or_else(|| {
            format!(
                "EKIO_POLLER={name}: no such poller; there are {}",
                POLLERS.join(", ")
            )
        })?;
        if self.pollers().contains(&known) {
            Ok(known)
        } else {
            Err(format!(
                "EKIO_POLLER={name}: {:?} has no such queue; it has {}",
                self.os,
                self.pollers().join(", ")
            ))
        }
    }

    /// Everything that the source may lean on, before [`is_taken_away`] has its say.
    fn nouns(&self, poller: &str) -> Vec<&'static str> {
        let mut nouns = Vec::new();
        for name in self.pollers() {
            // On Linux kqueue is a library that must be linked, so it is there only if asked for.
            if *name != "kqueue" || !self.is_linux() || poller == "kqueue" {
                nouns.push(*name);
            }
        }
        nouns.extend(self.is_windows.then_some("wait_packets"));
        // Miri would not see what is used after it was freed.
        nouns.extend((!self.is_miri).then_some("task_reuse"));
        let plain_linux = self.os == "linux";
        if self.is_linux() || self.is_apple() || self.is_bsd() {
            nouns.push("reuseport");
        }
        if self.is_apple() || self.is_bsd() {
            nouns.push("getpeereid");
        }
        if self.is_apple() {
            nouns.extend(["local_peerpid", "linger_sec"]);
        }
        nouns.extend((self.os == "android").then_some("std_os_android"));
        if self.is_linux() {
            nouns.extend(["abstract_names", "coarse_clock", "so_peercred"]);
            nouns.extend(["eventfd", "pipe2", "sock_cloexec", "msg_nosignal"]);
            nouns.push("pollrdhup");
        }
        // Miri has `poll` alone.
        if self.is_linux() && !self.is_miri {
            nouns.push("ppoll");
        }
        // Android's seccomp filter answers newer calls with SIGSYS, which no latch can catch; Miri
        // has neither of the two.
        if plain_linux && !self.is_miri {
            nouns.extend(["pwait2", "pidfd"]);
        }
        if self.is_bsd() {
            nouns.extend(["pipe2", "sock_cloexec", "msg_nosignal"]);
        }
        if matches!(self.os.as_str(), "freebsd" | "dragonfly") {
            nouns.push("ppoll");
        }
        if self.os == "freebsd" {
            nouns.push("pollrdhup");
        }
        if self.is_apple() {
            nouns.push("so_nosigpipe");
        }
        nouns.extend(self.errno());
        // NetBSD has EVFILT_USER since 10.0 only and OpenBSD only lately; Rust supports older ones.
        if self.is_apple() || matches!(self.os.as_str(), "freebsd" | "dragonfly") {
            nouns.push("evfilt_user");
        }
        if self.is_apple() || matches!(self.os.as_str(), "openbsd" | "dragonfly") {
            nouns.push("evfilt_except");
        }
        if self.is_linux() && poller == "kqueue" {
            nouns.push("evfilt_user");
        }
        // Where the crate corosensei can switch stacks, for an example; Cargo.toml has the same list.
        let is_elf_too = matches!(self.arch.as_str(), "x86" | "aarch64" | "riscv64");
        if self.arch == "x86_64" || self.is_unix && is_elf_too {
            nouns.push("fibers");
        }
        nouns
    }
}

/// Tells rustc every cfg that this script may set, so that a typing error in the source is a
/// warning and not a silent `false`.
fn declare_cfgs() {
    for noun in POLLERS.iter().chain(&FALLBACKS).chain(&FACTS) {
        println!("cargo::rustc-check-cfg=cfg(has_{noun})");
    }
    for noun in FALLBACKS {
        println!("cargo::rustc-check-cfg=cfg(ekio_no_{noun})");
    }
    for noun in STAND_INS {
        println!("cargo::rustc-check-cfg=cfg(ekio_stand_in_{noun})");
    }
    println!(
        "cargo::rustc-check-cfg=cfg(poller, values(\"{}\"))",
        POLLERS.join("\", \"")
    );
}

/// Cargo shows `--cfg ekio_no_x` to build scripts as `CARGO_CFG_EKIO_NO_X`.
fn is_taken_away(noun: &str) -> bool {
    env::var_os(format!("CARGO_CFG_EKIO_NO_{}", noun.to_uppercase())).is_some()
}

/// Asks the program `pkg-config` where libkqueue is. (The crate of that name would be ekio's only
/// build-dependency.)
fn link_libkqueue() {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = match Command::new(&program)
        .args(["--libs", "libkqueue"])
        .output()
    {
        Ok(output) if output.status.success() => output,
        Ok(output) => fail(&format!(
            "EKIO_POLLER=kqueue on Linux needs the library libkqueue, which pkg-config does not \
             find: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => fail(&format!(
            "EKIO_POLLER=kqueue on Linux needs the program {program:?} to find libkqueue: {error}"
        )),
    };
    for flag in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={folder}");
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo::rustc-link-lib={library}");
        }
    }
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    std::process::exit(1);
}
