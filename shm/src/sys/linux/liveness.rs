//! Whether an owner still lives: dead only on proof.

use std::io;

use multiproc_core::{Liveness, Owner};

use super::{
    identity,
    stat::{self, Stat},
};

/// Whether the process behind `owner` lives.
///
/// *Dead* are: an id that nobody has, an id whose holder was born at another time, and a process whose last thread
/// has ended. A zombie with threads is a process whose leading thread has called `pthread_exit`. What cannot be read
/// proves nothing, and neither does what is read once this process has moved to another time namespace, or another
/// `/proc` lies over its own.
pub fn liveness(owner: Owner) -> Liveness {
    // No process has the id 0; `kill` takes it for the caller's process group.
    if owner.pid() == 0 || is_gone(owner) {
        return Liveness::Dead;
    }
    match stat::read(owner.pid()) {
        Ok(found) if !is_over(found, owner) => Liveness::Alive,
        Ok(_) if identity::is_still_told() => Liveness::Dead,
        Ok(_) => Liveness::Unknown,
        // It may have been reaped since the first look.
        Err(_) if is_gone(owner) => Liveness::Dead,
        Err(_) => Liveness::Unknown,
    }
}

/// Whether what was read of the process with the id of `owner` is that of another one, or of one that has ended.
fn is_over(found: Stat, owner: Owner) -> bool {
    found.birth != owner.birth() || (matches!(found.state, b'Z' | b'X') && found.threads <= 1)
}

/// Whether nobody has the id of `owner`. Being refused (EPERM) proves that somebody has.
fn is_gone(owner: Owner) -> bool {
    // 22 bits always fit. SAFETY: signal 0 is never delivered.
    let refused = unsafe { libc::kill(owner.pid() as libc::pid_t, 0) } != 0;
    refused && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, process::Command};

    use super::*;

    fn owner(pid: u32, birth: u64) -> Owner {
        Owner::new(NonZeroU32::new(pid).unwrap(), birth).unwrap()
    }

    #[test]
    fn this_process_lives() {
        assert_eq!(liveness(identity::me()), Liveness::Alive);
    }

    #[test]
    fn an_id_given_out_again_is_not_its_old_holder() {
        let me = identity::me();
        assert_eq!(liveness(owner(me.pid(), me.birth() + 1)), Liveness::Dead);
    }

    #[test]
    fn a_zombie_is_dead_and_so_is_a_reaped_child() {
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let owner = owner(child.id(), stat::read(child.id()).unwrap().birth);
        assert_eq!(liveness(owner), Liveness::Alive);
        child.kill().unwrap();
        // Closing its end of the pipe is not yet being a zombie; the state is.
        while stat::read(child.id()).unwrap().state != b'Z' {
            std::thread::yield_now();
        }
        assert_eq!(liveness(owner), Liveness::Dead);
        child.wait().unwrap();
        assert_eq!(liveness(owner), Liveness::Dead);
    }

    #[test]
    fn nobody_is_nobody_who_lives() {
        assert_eq!(liveness(Owner::NONE), Liveness::Dead);
        assert_eq!(liveness(Owner::from_bits(77 << 23)), Liveness::Dead);
    }
}
