//! Where timelines branch off, as history files tell.

use super::lsn::Lsn;

/// A timeline that ended, and where another went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its number.
    pub timeline: u32,
    /// Where it was left.
    pub end: Lsn,
}

/// The ancestors in a history file, oldest first. An error says which line makes no sense.
pub fn ancestors(content: &[u8]) -> Result<Vec<Ancestor>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "a history file that is no text".to_owned())?;
    let mut ancestors: Vec<Ancestor> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.split_whitespace();
        let ancestor = parts.next().zip(parts.next()).and_then(|(timeline, end)| {
            Some(Ancestor {
                timeline: timeline.parse().ok()?,
                end: end.parse().ok()?,
            })
        });
        let newest = ancestors.last().map_or(0, |ancestor| ancestor.timeline);
        match ancestor.filter(|ancestor| ancestor.timeline > newest) {
            Some(ancestor) => ancestors.push(ancestor),
            None => return Err(format!("{line:?} in a history file")),
        }
    }
    Ok(ancestors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_come_in_order() {
        let content = b"1\t0/3000158\tno recovery target specified\n\n# a comment\n3\t0/5000000\tbefore 2026-01-01\n";
        let expected = [(1, Lsn(0x300_0158)), (3, Lsn(0x500_0000))];
        assert_eq!(
            ancestors(content).unwrap(),
            expected.map(|(timeline, end)| Ancestor { timeline, end })
        );
        assert_eq!(ancestors(b""), Ok(vec![]));
        for wrong in [&b"x\t0/1\ty\n"[..], b"1\n", b"2\t0/1\ta\n1\t0/2\tb\n", b"\xff\n"] {
            assert!(ancestors(wrong).is_err());
        }
    }
}
