//! Room for many sockets. Unix counts a process's open files, sockets among them, and usually allows
//! 1,024 of them at first: the *soft* limit, which a process may raise up to the *hard* one.

/// Sees to it that so many files can be open at the same time, or says why not.
#[cfg(unix)]
pub fn make_room_for(needed: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|soft| soft >= needed) {
        return Ok(());
    }
    if let Some(hard) = limit.maximum.filter(|hard| *hard < needed) {
        return Err(format!(
            "this needs {needed} open files, and the hard limit of this process is {hard} \
             (`ulimit -Hn` tells it): ask for less at once, or have the limit raised"
        ));
    }
    let wanted = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).map_err(|error| {
        format!("this needs {needed} open files, and the system does not allow so many: {error}")
    })
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn make_room_for(_needed: u64) -> Result<(), String> {
    Ok(())
}
