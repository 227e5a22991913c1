//! CRC-32C, with which a server guards every record of its log.

/// The polynomial, its bits turned round.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// Bytes that are taken in at one time.
const SLICES: usize = 8;

static TABLES: [[u32; 256]; SLICES] = tables();

const fn tables() -> [[u32; 256]; SLICES] {
    let mut tables = [[0; 256]; SLICES];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut slice = 1;
    while slice < SLICES {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// The checksum of several parts, one after another.
pub(in super::super) fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(!0, |crc, part| extend(crc, part))
}

fn extend(mut crc: u32, bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<SLICES>();
    for block in blocks {
        let [a, b, c, d] = (crc ^ u32::from_le_bytes([block[0], block[1], block[2], block[3]])).to_le_bytes();
        let [e, f, g, h] = [block[4], block[5], block[6], block[7]];
        crc = [h, g, f, e, d, c, b, a]
            .iter()
            .zip(&TABLES)
            .fold(0, |crc, (byte, table)| crc ^ table[usize::from(*byte)]);
    }
    rest.iter().fold(crc, |crc, byte| {
        (crc >> 8) ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_come_out_however_the_bytes_are_split() {
        assert_eq!(crc32c(&[b"123456789"]), 0xE306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8A91_36AA);
        let ascending: Vec<u8> = (0..32).collect();
        for at in 0..32 {
            assert_eq!(crc32c(&[&ascending[..at], &ascending[at..]]), 0x46DD_794E);
        }
    }
}
