//! Go's `os.FileMode` bits, which trees hold, from and to Unix `st_mode` bits.

/// A folder.
pub const DIR: u32 = 1 << 31;
/// A symbolic link.
pub const SYMLINK: u32 = 1 << 27;
/// A device.
pub const DEVICE: u32 = 1 << 26;
/// A named pipe.
pub const NAMED_PIPE: u32 = 1 << 25;
/// A socket.
pub const SOCKET: u32 = 1 << 24;
/// Set-user-id.
pub const SETUID: u32 = 1 << 23;
/// Set-group-id.
pub const SETGID: u32 = 1 << 22;
/// A character device, together with [`DEVICE`].
pub const CHAR_DEVICE: u32 = 1 << 21;
/// Sticky bit.
pub const STICKY: u32 = 1 << 20;

const S_IFMT: u32 = 0o170_000;

/// The Go mode of a Unix `st_mode`.
pub fn from_unix(st_mode: u32) -> u32 {
    let kind = match st_mode & S_IFMT {
        0o040_000 => DIR,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHAR_DEVICE,
        0o010_000 => NAMED_PIPE,
        0o140_000 => SOCKET,
        _ => 0,
    };
    let flag = |unix: u32, go: u32| if st_mode & unix == 0 { 0 } else { go };
    kind | flag(0o4000, SETUID) | flag(0o2000, SETGID) | flag(0o1000, STICKY) | (st_mode & 0o777)
}

/// The Unix permission bits of a Go mode, with set-id and sticky bits (`0o7777`), as `chmod` takes them.
pub fn unix_permissions(mode: u32) -> u32 {
    let flag = |go: u32, unix: u32| if mode & go == 0 { 0 } else { unix };
    (mode & 0o777) | flag(SETUID, 0o4000) | flag(SETGID, 0o2000) | flag(STICKY, 0o1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_modes_become_go_modes_and_permissions_come_back() {
        assert_eq!(from_unix(0o100_644), 0o644);
        assert_eq!(from_unix(0o040_755), 2_147_484_141);
        assert_eq!(from_unix(0o120_777), 134_218_239);
        assert_eq!(from_unix(0o020_620), DEVICE | CHAR_DEVICE | 0o620);
        assert_eq!(from_unix(0o041_777), DIR | STICKY | 0o777);
        assert_eq!(unix_permissions(from_unix(0o106_750)), 0o6750);
        assert_eq!(unix_permissions(from_unix(0o041_777)), 0o1777);
    }
}
