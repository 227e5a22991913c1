use super::*;
use crate::error::ErrorKind;
use crate::storage::MemoryStorage;
use crate::testing::ambient;

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
