use super::*;
use crate::error::ErrorKind;
use crate::storage::MemoryStorage;
use crate::storage::faults::{Fault, Faulty};
use crate::testing::{ambient, chunks, content, memory, snapshot, through};

fn options(password: &str) -> InitOptions<'_> {
    InitOptions {
        password: Some(password),
        ..InitOptions::default()
    }
}

#[test]
fn an_initialisation_that_stopped_before_the_config_can_be_run_again() {
    let storage = Arc::new(MemoryStorage::new());
    let first = Repository::init(storage.clone(), ambient(), &options("p")).unwrap();
    storage.delete(&FileName::Config).unwrap();
    let again = Repository::init(storage.clone(), ambient(), &options("p")).unwrap();
    assert_eq!(again.key(), first.key());
    assert_eq!(storage.list(FileKind::Key).unwrap().len(), 1);
    Repository::open(storage, ambient(), Unlock::Password("p")).unwrap();
}

#[test]
fn a_lost_config_is_not_replaced_where_there_is_data() {
    let storage = Arc::new(MemoryStorage::new());
    let repository = Repository::init(storage.clone(), ambient(), &options("p")).unwrap();
    repository.save_unpacked(FileKind::Snapshot, b"{}").unwrap();
    storage.delete(&FileName::Config).unwrap();
    let error = Repository::init(storage, ambient(), &options("p")).unwrap_err();
    assert!(error.to_string().contains("no config"), "{error}");
}

#[test]
fn a_damaged_config_or_file_is_an_error_that_names_it() {
    let storage = Arc::new(MemoryStorage::new());
    let repository = Repository::init(storage.clone(), ambient(), &options("p")).unwrap();
    let id = repository.save_unpacked(FileKind::Index, b"{\"packs\":[]}").unwrap();
    assert_eq!(
        repository.load_unpacked(FileKind::Index, &id).unwrap(),
        b"{\"packs\":[]}"
    );
    let file = FileName::Object(FileKind::Index, id);
    let mut bytes = storage.read(&file).unwrap();
    bytes[40] ^= 1;
    storage.overwrite(file, bytes);
    let error = repository.load_index().map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    storage.overwrite(FileName::Config, vec![1; 50]);
    let error = Repository::open(storage, ambient(), Unlock::Password("p")).unwrap_err();
    assert!(error.to_string().contains("the config file"), "{error}");
}

#[test]
fn another_format_version_is_refused_by_number() {
    let polynomial = 0x003D_A335_8B4D_C173;
    let json = Config {
        id: Id([1; 32]),
        chunker_polynomial: polynomial,
    }
    .encode();
    let json = String::from_utf8(json).unwrap();
    assert!(Config::decode(json.as_bytes()).is_ok());
    let error = Config::decode(json.replace("\"version\":2", "\"version\":1").as_bytes()).unwrap_err();
    assert!(matches!(error, RepositoryError::UnsupportedVersion { version: 1 }));
    assert!(Config::decode(json.replace("3da3358b4dc173", "3da3358b4dc172").as_bytes()).is_err());
}

#[test]
fn blobs_that_follow_one_another_take_one_request_and_come_in_the_order_asked_for() {
    let (store, repository) = memory();
    snapshot(&repository, &[("a", 1000), ("b", 300)], 16 << 20);
    let index = repository.load_index().unwrap();
    let counting = Arc::new(Faulty::new(store.clone(), u64::MAX, Fault::Fail));
    let counted = through(&repository, counting.clone());
    let (a, b) = (content("a", 1000), content("b", 300));
    let load = |ids: &[Id]| {
        let before = counting.calls();
        let loaded = counted.load_blobs(&index, BlobKind::Data, ids).unwrap();
        (loaded.concat(), counting.calls() - before)
    };
    assert_eq!(load(&chunks(&a)), (a.clone(), 1));
    assert_eq!(load(&[]), (Vec::new(), 0));
    // Back and forth, and one of them twice.
    let asked = [chunks(&b), chunks(&a), chunks(&a)[9..].to_vec()].concat();
    assert_eq!(load(&asked), ([&b[..], &a, &a[900..]].concat(), 3));
}

#[test]
fn one_bad_blob_among_many_is_named_or_comes_from_another_pack() {
    let (store, repository) = memory();
    snapshot(&repository, &[("a", 1000)], 16 << 20);
    let index = repository.load_index().unwrap();
    let a = content("a", 1000);
    let ids = chunks(&a);
    let damaged = index.lookup(BlobKind::Data, &ids[4]).unwrap();
    let pack = FileName::Object(FileKind::Data, damaged.pack);
    let mut bytes = store.read(&pack).unwrap();
    bytes[damaged.offset as usize + 20] ^= 1;
    store.overwrite(pack.clone(), bytes.clone());
    let load = |index: &Index| {
        repository
            .load_blobs(index, BlobKind::Data, &ids)
            .map(|loaded| loaded.concat())
    };
    let error = load(&index).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains(&ids[4].to_string()), "{error}");

    let mut again = crate::rewrite::PackWriter::new(&repository, 16 << 20, 1).unwrap();
    again.add(BlobKind::Data, ids[4], &a[400..500]).unwrap();
    again.finish().unwrap();
    assert!(load(&repository.load_index().unwrap()).unwrap() == a, "other bytes");
    // Of a pack that is cut short, what is left is read.
    bytes.truncate(damaged.offset as usize + 25);
    store.overwrite(pack, bytes);
    let error = load(&repository.load_index().unwrap()).unwrap_err().to_string();
    assert!(error.contains(&ids[5].to_string()), "{error}");
}
