use std::collections::HashSet;

use super::*;

fn blob(kind: BlobKind, number: u32, offset: u32, uncompressed_length: Option<u32>) -> PackBlob {
    PackBlob {
        kind,
        id: Id::of(&number.to_le_bytes()),
        offset,
        length: 100 + number,
        uncompressed_length,
    }
}

fn pack(number: u8, blobs: Vec<PackBlob>) -> IndexPack {
    IndexPack {
        id: Id([number; 32]),
        blobs,
    }
}

#[test]
fn a_blob_is_found_with_every_place_it_has() {
    let shared = |offset| blob(BlobKind::Data, 1, offset, None);
    let packs = [
        pack(1, vec![shared(0), blob(BlobKind::Tree, 2, 101, Some(900))]),
        pack(2, vec![shared(500)]),
        pack(1, vec![shared(0), blob(BlobKind::Tree, 2, 101, Some(900))]),
    ];
    let index = Index::new(packs, &HashSet::new());
    assert_eq!(index.packs().len(), 2);
    assert_eq!(index.len(), 3);
    let places: Vec<_> = index
        .lookup_all(BlobKind::Data, &Id::of(&1u32.to_le_bytes()))
        .map(|place| place.pack)
        .collect();
    assert_eq!(places, [Id([1; 32]), Id([2; 32])]);
    let tree = index.lookup(BlobKind::Tree, &Id::of(&2u32.to_le_bytes())).unwrap();
    assert_eq!((tree.offset, tree.length, tree.plaintext_length()), (101, 102, 900));
    assert_eq!(
        index.lookup(BlobKind::Data, &Id::of(&2u32.to_le_bytes())),
        None,
        "kinds are apart"
    );
    assert_eq!(index.lookup(BlobKind::Data, &Id([0; 32])), None);
}

#[test]
fn a_condemned_pack_is_the_last_resort_and_no_reason_not_to_store() {
    let id = Id::of(&1u32.to_le_bytes());
    let packs = || {
        [
            pack(1, vec![blob(BlobKind::Data, 1, 0, None)]),
            pack(2, vec![blob(BlobKind::Data, 1, 0, None)]),
        ]
    };
    let condemned = |numbers: &[u8]| Index::new(packs(), &numbers.iter().map(|n| Id([*n; 32])).collect());
    assert!(condemned(&[1]).usable_for_dedup(BlobKind::Data, &id));
    assert_eq!(condemned(&[1]).lookup(BlobKind::Data, &id).unwrap().pack, Id([2; 32]));
    assert!(!condemned(&[1, 2]).usable_for_dedup(BlobKind::Data, &id));
    assert!(condemned(&[1, 2]).lookup(BlobKind::Data, &id).is_some());
}

#[test]
fn an_index_file_is_written_as_restic_writes_it_and_reads_back() {
    let packs = [pack(
        1,
        vec![
            blob(BlobKind::Data, 1, 0, None),
            blob(BlobKind::Data, 2, 101, Some(900)),
        ],
    )];
    let json = String::from_utf8(encode_index(&packs)).unwrap();
    let (one, two) = (packs[0].blobs[0].id, packs[0].blobs[1].id);
    assert_eq!(
        json,
        format!(
            r#"{{"packs":[{{"id":"{}","blobs":[{{"id":"{one}","type":"data","offset":0,"length":101}},{{"id":"{two}","type":"data","offset":101,"length":102,"uncompressed_length":900}}]}}]}}"#,
            Id([1; 32])
        )
    );
    assert_eq!(decode_index(&Id([0; 32]), json.as_bytes()).unwrap(), packs);
    let error = decode_index(&Id([7; 32]), json.replace("data", "date").as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains(&Id([7; 32]).to_string()), "{error}");
}

#[test]
fn packs_are_never_split_over_index_files() {
    let wide = |number, blobs| {
        pack(
            number,
            (0..blobs).map(|n| blob(BlobKind::Data, n, n * 200, None)).collect(),
        )
    };
    let packs = [
        wide(1, 30_000),
        wide(2, 20_000),
        wide(3, 1),
        wide(4, 60_000),
        wide(5, 10),
    ];
    let parts: Vec<usize> = split_packs(&packs).iter().map(|part| part.len()).collect();
    assert_eq!(parts, [2, 1, 1, 1]);
    assert!(split_packs(&[]).is_empty());
}

#[test]
fn an_entry_takes_48_bytes() {
    assert_eq!(size_of::<Entry>(), 48);
}
