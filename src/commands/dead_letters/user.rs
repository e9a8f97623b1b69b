//! Who runs the command: for the audit. A name that people know, not a proof.

use nix::unistd::{User, geteuid, getuid};

/// Longest name.
const MAX_CHARS: usize = 64;

/// The user's name; where `sudo` was used, whoever used it.
pub(super) fn name() -> String {
    let behind_sudo = geteuid().is_root().then(|| std::env::var("SUDO_USER").ok());
    let behind_sudo = behind_sudo.flatten().filter(|name| !name.is_empty());
    let own = || match User::from_uid(getuid()) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("user {}", getuid()),
    };
    let name = behind_sudo.unwrap_or_else(own);
    let name = name.chars().filter(|c| !c.is_control());
    name.take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn everybody_has_a_name() {
        let name = super::name();
        assert!(
            !name.is_empty() && name.len() <= 4 * super::MAX_CHARS,
            "{name}"
        );
    }
}
