//! What this executable does instead of testing, when a test starts it anew to be another program.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, exit},
};

use crate::{copies, identity, namespaces};

const ROLE: &str = "MULTIPROC_TEST_ROLE";
const SUBJECT: &str = "MULTIPROC_TEST_SUBJECT";

/// A part to play, given the text that came with it.
type Role = fn(&str);

const ROLES: &[(&str, Role)] = &[
    ("after exec", copies::after_exec),
    ("pid reuse", identity::pid_reuse),
    ("shifted clock", namespaces::shifted_clock),
];

/// Plays the part that this process was started for, if any, and ends.
pub fn play() {
    let Ok(name) = env::var(ROLE) else { return };
    let (_, role) = ROLES.iter().find(|(role, _)| *role == name).unwrap();
    role(&env::var(SUBJECT).unwrap_or_default());
    exit(0)
}

/// This executable in a role, with a text that says what about.
pub fn program(role: &str, subject: &str) -> Command {
    assert!(ROLES.iter().any(|(name, _)| *name == role));
    let mut command = Command::new("/proc/self/exe");
    command.env(ROLE, role).env(SUBJECT, subject);
    command
}

/// Replaces this process by one in a role.
pub fn become_program(role: &str, subject: &str) -> ! {
    panic!("exec: {}", program(role, subject).exec())
}
