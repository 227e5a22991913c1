use proptest::prelude::*;

use super::*;

fn file(name: &[u8]) -> Node {
    Node {
        content: Some(Vec::new()),
        ..Node::new(name, NodeKind::File)
    }
}

/// Written by hand after the Go source of restic's `Node`.
#[test]
fn a_node_with_everything_is_written_in_restics_order() {
    let id = Id([0xab; 32]);
    let node = Node {
        name: b"a\"\xff<".to_vec(),
        kind: NodeKind::File,
        mode: 0o644,
        mtime: NodeTime {
            seconds: 1_700_000_000,
            nanos: 120_000_000,
            offset: 3600,
        },
        atime: NodeTime {
            seconds: 0,
            nanos: 1,
            offset: -5400,
        },
        ctime: NodeTime::UNIX_EPOCH,
        uid: 0,
        gid: 5,
        user: "rö&t".into(),
        group: "g".into(),
        inode: 7,
        device_id: 8,
        size: 9,
        links: 2,
        link_target: b"\xfe".to_vec(),
        extended_attributes: vec![ExtendedAttribute {
            name: "user.a".into(),
            value: vec![0, 255],
        }],
        generic_attributes: [("b".to_owned(), serde_json::json!({"y": [1, null], "x": "<"}))].into(),
        device: 10,
        content: Some(vec![id]),
        subtree: Some(id),
        error: "e".into(),
    };
    let hex = "ab".repeat(32);
    let expected = format!(
        concat!(
            r#"{{"nodes":[{{"name":"a\\\"\\xff\u003c","type":"file","mode":420,"mtime":"2023-11-14T23:13:20.12+01:00","#,
            r#""atime":"1969-12-31T22:30:00.000000001-01:30","ctime":"1970-01-01T00:00:00Z","uid":0,"gid":5,"#,
            r#""user":"rö\u0026t","group":"g","inode":7,"device_id":8,"size":9,"links":2,"linktarget":"\ufffd","#,
            r#""linktarget_raw":"/g==","extended_attributes":[{{"name":"user.a","value":"AP8="}}],"#,
            r#""generic_attributes":{{"b":{{"x":"\u003c","y":[1,null]}}}},"device":10,"content":["{0}"],"#,
            r#""subtree":"{0}","error":"e"}}]}}"#,
            "\n"
        ),
        hex
    );
    let tree = Tree::new(vec![node]);
    assert_eq!(String::from_utf8(tree.encode().unwrap()).unwrap(), expected);
    assert_eq!(Tree::decode(expected.as_bytes()).unwrap(), tree);
}

#[test]
fn what_is_zero_is_left_out_and_the_rest_is_not() {
    let tree = Tree::new(vec![Node::new(b"f", NodeKind::Fifo)]);
    assert_eq!(
        String::from_utf8(tree.encode().unwrap()).unwrap(),
        concat!(
            r#"{"nodes":[{"name":"f","type":"fifo","mtime":"1970-01-01T00:00:00Z","atime":"1970-01-01T00:00:00Z","#,
            r#""ctime":"1970-01-01T00:00:00Z","uid":0,"gid":0,"content":null}]}"#,
            "\n"
        )
    );
    assert_eq!(Tree::default().encode().unwrap(), b"{\"nodes\":[]}\n");
}

#[test]
fn an_unknown_field_is_passed_over_but_the_tree_is_not_lossless() {
    let bytes = Tree::new(vec![file(b"a"), file(b"b")]).encode().unwrap();
    assert!(Tree::decode(&bytes).unwrap().lossless);
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("\"uid\"", "\"new\":[{}],\"uid\""),
        ("]}\n", "],\"more\":1}\n"),
        ("]}\n", "]}"),
        (":00Z", ":00+00:00"),
    ] {
        let tree = Tree::decode(text.replacen(from, to, 1).as_bytes()).unwrap();
        assert_eq!((tree.nodes.len(), tree.lossless), (2, false), "{to}");
    }
}

#[test]
fn names_that_leave_a_folder_and_disorder_are_refused_by_name() {
    let bytes = Tree::new(vec![file(b"aa"), file(b"bb")]).encode().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    for bad in ["..", ".", "", "x/y", "/", "nul\\\\x00", "\\\\x2e\\\\x2e", "cc", "bb"] {
        let error = Tree::decode(text.replacen("\"aa\"", &format!("\"{bad}\""), 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("name"), "{bad}: {error}");
    }
    assert!(Tree::new(vec![file(b"b"), file(b"a")]).encode().is_err());
    assert!(Tree::new(vec![file(b"..")]).encode().is_err());
}

#[test]
fn broken_trees_are_errors() {
    let whole = Tree::new(vec![file(b"a"), file(b"b")]).encode().unwrap();
    for end in 0..whole.len() - 3 {
        assert!(Tree::decode(&whole[..end]).is_err(), "{end}");
    }
    let text = String::from_utf8(whole).unwrap();
    for (from, to) in [
        ("\"file\"", "\"irregular\""),
        ("\"content\":[]", "\"content\":null"),
        ("1970-01-01", "1970-02-30"),
    ] {
        assert!(Tree::decode(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
    assert_eq!(Tree::decode(b"{\"nodes\":null}\n").unwrap().nodes, []);
}

#[test]
fn times_survive_as_they_are_written() {
    for text in [
        "2026-11-20T13:29:48.123456789+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "2000-02-29T12:00:00.5-11:30",
        "0000-01-01T00:00:00Z",
        "1900-03-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
    ] {
        assert_eq!(NodeTime::parse(text).unwrap().to_string(), text);
    }
    for bad in [
        "",
        "2026-11-20",
        "2026-13-20T00:00:00Z",
        "2026-00-20T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-11-20T00:00:00",
        "2026-11-20T00:00:00.Z",
        "2026-11-20T00:00:00.1234567890Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T00:00:00+1:00",
        "+026-11-20T00:00:00Z",
    ] {
        assert_eq!(NodeTime::parse(bad), None, "{bad}");
    }
    assert_eq!(NodeTime::utc(i64::MAX, 5).to_string(), "9999-12-31T23:59:59Z");
    assert_eq!(NodeTime::utc(i64::MIN, 5).to_string(), "0000-01-01T00:00:00Z");
}

prop_compose! {
    fn any_node()(
        name in proptest::collection::vec(any::<u8>(), 1..20).prop_filter("a name", |name| check_name(name).is_ok()),
        kind in prop_oneof![Just(NodeKind::File), Just(NodeKind::Dir), Just(NodeKind::Symlink), Just(NodeKind::Socket)],
        (seconds, nanos, minutes) in (-60_000_000_000i64..250_000_000_000, 0u32..1_000_000_000, -720i32..720),
        (mode, uid, size, inode) in (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>()),
        (user, link_target) in (".*", proptest::collection::vec(any::<u8>(), 0..20)),
        content in proptest::collection::vec(any::<[u8; 32]>(), 0..4),
        value in proptest::collection::vec(any::<u8>(), 0..9),
    ) -> Node {
        let time = NodeTime { seconds, nanos, offset: minutes * 60 };
        Node {
            mode, mtime: time, atime: time, uid, user, inode, size, link_target,
            extended_attributes: vec![ExtendedAttribute { name: "user.x".into(), value }],
            content: (kind == NodeKind::File).then(|| content.into_iter().map(Id).collect()),
            subtree: (kind == NodeKind::Dir).then_some(Id([1; 32])),
            ..Node::new(name, kind)
        }
    }
}

proptest! {
    #[test]
    fn any_tree_survives_its_bytes(nodes in proptest::collection::vec(any_node(), 0..8)) {
        let by_name: BTreeMap<Vec<u8>, Node> = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
        let tree = Tree::new(by_name.into_values().collect());
        let bytes = tree.encode().unwrap();
        prop_assert_eq!(Tree::decode(&bytes).unwrap(), tree);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tree::decode(&[TREE_START, &bytes].concat());
    }
}

proptest! {
    #[test]
    fn the_calendar_is_that_of_an_independent_library(seconds in -62_000_000_000i64..253_000_000_000) {
        let expected = jiff::Timestamp::from_second(seconds).unwrap().to_string();
        prop_assert_eq!(NodeTime::utc(seconds, 0).to_string(), expected);
        prop_assert_eq!(NodeTime::parse(&NodeTime::utc(seconds, 0).to_string()), Some(NodeTime::utc(seconds, 0)));
    }
}
