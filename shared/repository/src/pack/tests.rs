use super::*;
use crate::testing::ambient;

fn key() -> MasterKey {
    MasterKey::from_random(&[9; 64])
}

fn pack(plaintexts: &[&[u8]]) -> SealedPack {
    let mut encoder = BlobEncoder::new(3).unwrap();
    let mut builder = PackBuilder::default();
    for plaintext in plaintexts {
        let (payload, length) = encoder.encode(BlobKind::Data, plaintext).unwrap();
        builder
            .add(&key(), &ambient(), (BlobKind::Data, Id::of(plaintext)), payload, length)
            .unwrap();
    }
    builder.seal(&key(), &ambient()).unwrap()
}

#[test]
fn a_pack_is_named_by_its_bytes_and_its_header_lists_its_blobs() {
    let text = b"the same words again and again ".repeat(100);
    let plaintexts: [&[u8]; 3] = [&text, b"tiny", &[0; 5000]];
    let pack = pack(&plaintexts);
    assert_eq!(pack_size(&pack.blobs), pack.bytes.len() as u64);
    assert_eq!(decode_header(&key(), &pack.bytes).unwrap(), pack.blobs);
    for (blob, plaintext) in pack.blobs.iter().zip(plaintexts) {
        let sealed = &pack.bytes[blob.offset as usize..][..blob.length as usize];
        assert_eq!(open_blob(&key(), blob, sealed).unwrap(), plaintext);
    }
    assert_eq!(pack.blobs[1].uncompressed_length, None, "four bytes do not shrink");
    assert_eq!(pack.blobs[2].uncompressed_length, Some(5000));
}

#[test]
fn an_empty_pack_has_a_header_too() {
    let pack = pack(&[]);
    assert_eq!(decode_header(&key(), &pack.bytes).unwrap(), []);
    assert_eq!(pack.bytes.len(), 36);
}

#[test]
fn a_pack_that_is_cut_or_grows_is_refused() {
    let pack = pack(&[b"one", b"two"]);
    let cut = |bytes: &[u8]| decode_header(&key(), bytes).unwrap_err();
    assert_eq!(cut(&pack.bytes[..3]), HeaderError::TooShort);
    assert!(matches!(cut(&pack.bytes[1..]), HeaderError::Size { .. }));
    assert!(matches!(
        cut(&[&[0], &pack.bytes[..]].concat()),
        HeaderError::Size { .. }
    ));
    assert!(matches!(
        cut(&pack.bytes[..pack.bytes.len() - 1]),
        HeaderError::TooShort | HeaderError::Sealed(_)
    ));
    let mut long = pack.bytes.clone();
    let end = long.len() - 4;
    long[end..].fill(255);
    assert_eq!(cut(&long), HeaderError::TooShort);
}

#[test]
fn a_header_entry_of_an_unknown_type_is_refused() {
    let mut sealed = Vec::new();
    let entry = [&[4u8][..], &[0; 40]].concat();
    key().seal(&entry, [1; 16], &mut sealed);
    assert_eq!(decode_sealed_header(&key(), &sealed, 77), Err(HeaderError::Entry(0)));
}

#[test]
fn a_blob_that_is_not_what_it_says_is_refused() {
    let pack = pack(&[&[7; 3000]]);
    let blob = pack.blobs[0];
    let sealed = &pack.bytes[..blob.length as usize];
    let reason = |blob: PackBlob| open_blob(&key(), &blob, sealed).unwrap_err().to_string();
    assert!(
        reason(PackBlob {
            id: Id([1; 32]),
            ..blob
        })
        .contains("hashes to")
    );
    for length in [2999, 3001, u32::MAX] {
        assert!(
            open_blob(
                &key(),
                &PackBlob {
                    uncompressed_length: Some(length),
                    ..blob
                },
                sealed
            )
            .is_err(),
            "{length}"
        );
    }
    assert!(
        reason(PackBlob {
            uncompressed_length: None,
            ..blob
        })
        .contains("hashes to")
    );
}

#[test]
fn data_that_does_not_shrink_is_stored_as_it_is_and_trees_never() {
    let noise = noise(200_000);
    let mut encoder = BlobEncoder::new(3).unwrap();
    assert_eq!(encoder.encode(BlobKind::Data, &noise).unwrap(), (&noise[..], None));
    let (compressed, length) = encoder.encode(BlobKind::Tree, b"{}").unwrap();
    assert_ne!(compressed, b"{}");
    assert_eq!(length, Some(2));
    assert_eq!(encoder.encode(BlobKind::Data, b"").unwrap(), (&b""[..], None));
}

#[test]
fn data_that_is_noise_in_part_is_compressed_whatever_the_parts_are() {
    let mut encoder = BlobEncoder::new(3).unwrap();
    let (noise, text) = (noise(1 << 20), b"the same words again and again ".repeat(40_000));
    for part in [2048, 4096, 8192, 16 << 10, 64 << 10, 256 << 10] {
        let parts = noise.chunks(part).zip(text.chunks(part)).enumerate();
        let mixed: Vec<u8> = parts
            .flat_map(|(n, (noise, text))| if n % 2 == 0 { noise } else { text })
            .copied()
            .collect();
        for start in [0, 1000, part / 2] {
            let (compressed, length) = encoder.encode(BlobKind::Data, &mixed[start..]).unwrap();
            assert!(
                length.is_some() && compressed.len() < mixed.len() * 9 / 16,
                "{part} {start}"
            );
        }
    }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64)
        .flat_map(|n| Id::of(&n.to_le_bytes()).0)
        .take(length)
        .collect()
}
