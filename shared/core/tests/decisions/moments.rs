use holdfast_core::domain::{
    CopyState, LogState, Moment, Order, Point, PointId, ResourceId, ServerRecovery, Stretch, Window,
};
use holdfast_core::planning::{MomentRefusal, RecoveryStart, choose_recovery_start};

use crate::make::{at, copy, point, vault_name};

/// A base backup, which began one minute before it was consistent and was recorded one minute after.
fn base(hour: i8) -> Point {
    let mut point = point(at(&format!("2026-06-01T{hour:02}:00:00Z")));
    point.created_at = at(&format!("2026-06-01T{hour:02}:02:00Z"));
    point.id = PointId::derive(&["base", &hour.to_string()]);
    let mut copy = copy("primary", CopyState::Available, point.created_at);
    copy.artefact = format!("base-{hour}");
    point.copies = vec![copy];
    point
}

fn stretch(timeline: u32, hours: &[i8], latest: &str) -> Stretch {
    Stretch {
        timeline,
        earliest_at: at(&format!("2026-06-01T{:02}:01:00Z", hours[0])),
        latest_at: moment_of(latest),
        bases: hours.iter().map(|hour| format!("base-{hour}")).collect(),
    }
}

fn moment_of(time: &str) -> jiff::Timestamp {
    at(&format!("2026-06-01T{time}:00Z"))
}

fn window(stretches: Vec<Stretch>, covered: Option<&str>) -> Window {
    Window {
        resource: ResourceId::new("photos").unwrap(),
        vault: vault_name("primary"),
        observed_at: moment_of("23:00"),
        state: LogState {
            stretches,
            gaps: vec!["from 0/5000000 to 0/7000000 on timeline 1".to_owned()],
            covered_at: covered.map(moment_of),
            slot: None,
        },
    }
}

/// The hour of the base backup that is chosen, and the timeline.
fn chosen(windows: &[Window], points: &[Point], to: Moment) -> Result<(String, u32), MomentRefusal> {
    let told = |start: RecoveryStart<'_>| (start.copy.artefact.clone(), start.stretch.timeline);
    choose_recovery_start(windows, points, to, None, None).map(told)
}

fn to(time: &str) -> Moment {
    Moment::At(moment_of(time))
}

#[test]
fn the_newest_base_backup_that_was_consistent_before_the_moment_is_chosen() {
    let points = [base(2), base(6), base(10)];
    let windows = [window(vec![stretch(1, &[2, 6, 10], "12:00")], None)];
    for (time, artefact) in [
        ("02:01", "base-2"),
        ("06:01", "base-2"),
        ("06:02", "base-6"),
        ("10:01", "base-6"),
        ("12:00", "base-10"),
    ] {
        let expected = Ok((artefact.to_owned(), 1));
        assert_eq!(chosen(&windows, &points, to(time)), expected, "{time}");
    }
    assert_eq!(chosen(&windows, &points, Moment::Latest), Ok(("base-10".to_owned(), 1)));
}

#[test]
fn a_moment_that_no_log_leads_to_is_refused_with_what_can_be_restored() {
    let points = [base(2), base(6), base(10)];
    let windows = [window(
        vec![stretch(1, &[2, 6], "08:00"), stretch(1, &[10], "12:00")],
        Some("12:30"),
    )];
    for time in ["02:00", "09:00", "12:31"] {
        let refusal = chosen(&windows, &points, to(time)).unwrap_err();
        assert!(matches!(refusal, MomentRefusal::Outside { .. }), "{time}: {refusal}");
        let refusal = refusal.to_string();
        for named in [
            "from 2026-06-01T02:01:00Z until 2026-06-01T08:00:00Z",
            "from 2026-06-01T10:01:00Z until 2026-06-01T12:30:00Z",
            "log is missing from 0/5000000",
        ] {
            assert!(refusal.contains(named), "{time}: {named}: {refusal}");
        }
    }
    // Nothing was committed between the last commit and the last look.
    assert_eq!(chosen(&windows, &points, to("12:30")), Ok(("base-10".to_owned(), 1)));
    assert_eq!(chosen(&windows, &points, to("08:00")), Ok(("base-6".to_owned(), 1)));
    for nothing in [&[][..], &[window(Vec::new(), None)]] {
        let refusal = chosen(nothing, &points, Moment::Latest).unwrap_err();
        assert!(matches!(refusal, MomentRefusal::NoLog { .. }), "{refusal}");
    }
}

#[test]
fn a_damaged_base_backup_is_passed_over_and_named() {
    let mut points = [base(2), base(6)];
    points[1].copies[0].state = CopyState::Corrupt;
    let windows = [window(vec![stretch(1, &[2, 6], "08:00")], None)];
    let start = choose_recovery_start(&windows, &points, to("07:00"), None, None).unwrap();
    assert_eq!(start.copy.artefact, "base-2");
    assert!(start.reason.contains("is damaged in: primary"), "{}", start.reason);
    points[0].copies[0].state = CopyState::Deleted;
    let refusal = chosen(&windows, &points, to("07:00")).unwrap_err();
    assert!(matches!(refusal, MomentRefusal::NoBase { .. }), "{refusal}");
}

#[test]
fn the_newest_timeline_counts_where_several_hold_the_moment() {
    let points = [base(2), base(6)];
    let windows = [window(
        vec![stretch(1, &[2], "09:00"), stretch(2, &[2, 6], "08:00")],
        None,
    )];
    assert_eq!(chosen(&windows, &points, to("05:00")), Ok(("base-2".to_owned(), 2)));
    assert_eq!(chosen(&windows, &points, Moment::Latest), Ok(("base-6".to_owned(), 2)));
    assert_eq!(chosen(&windows, &points, to("08:30")), Ok(("base-2".to_owned(), 1)));
}

#[test]
fn a_vault_or_a_base_backup_that_is_asked_for_is_taken_or_refused() {
    let points = [base(2), base(6)];
    let windows = [window(vec![stretch(1, &[2, 6], "08:00")], None)];
    let asked = |time, vault, hour: usize| {
        let vault = vault_name(vault);
        choose_recovery_start(&windows, &points, to(time), Some(&vault), Some(&points[hour].id))
            .map(|start| start.copy.artefact.clone())
            .map_err(|refusal| refusal.to_string())
    };
    assert_eq!(asked("07:00", "primary", 0), Ok("base-2".to_owned()));
    let refusal = asked("05:00", "primary", 1).unwrap_err();
    assert!(refusal.contains(points[1].id.as_str()), "{refusal}");
    let refusal = asked("07:00", "recovery", 0).unwrap_err();
    assert!(refusal.contains("in vault recovery"), "{refusal}");
}

#[test]
fn the_vault_with_the_newest_log_is_read_and_another_one_where_its_base_backup_is_damaged() {
    let mut points = [base(2)];
    let mut away = points[0].copies[0].clone();
    away.vault = vault_name("away");
    points[0].copies.push(away);
    let behind = Window {
        vault: vault_name("away"),
        ..window(vec![stretch(1, &[2], "08:00")], Some("08:05"))
    };
    let windows = [behind, window(vec![stretch(1, &[2], "08:10")], Some("08:15"))];
    for moment in [Moment::Latest, to("07:00"), to("08:15")] {
        let start = choose_recovery_start(&windows, &points, moment, None, None).unwrap();
        assert_eq!(start.copy.vault.as_str(), "primary", "{moment}");
        assert_eq!(start.until, moment_of("08:15"));
    }
    points[0].copies[0].state = CopyState::Corrupt;
    let start = choose_recovery_start(&windows, &points, Moment::Latest, None, None).unwrap();
    assert_eq!((start.copy.vault.as_str(), start.until), ("away", moment_of("08:05")));
    assert!(start.reason.contains("passed over"), "{}", start.reason);
    assert!(start.reason.contains("is damaged in: primary"), "{}", start.reason);
    let refusal = chosen(&windows, &points, to("08:10")).unwrap_err();
    assert!(matches!(refusal, MomentRefusal::NoBase { .. }), "{refusal}");
}

#[test]
fn orders_from_before_there_were_moments_are_still_read() {
    let point = base(2);
    let order = Order::Restore {
        point: point.reference(),
        from: point.location(&point.copies[0]),
        target: "/srv/restored".to_owned(),
        include: Vec::new(),
        overwrite: false,
        heartbeat: None,
        recovery: None,
    };
    let written = serde_json::to_value(&order).unwrap();
    assert!(written.get("recovery").is_none(), "{written}");
    assert_eq!(serde_json::from_value::<Order>(written.clone()).unwrap(), order);
    let mut newer = written;
    newer["recovery"] = serde_json::json!({ "to": "2026-06-01T05:00:00Z", "timeline": 2 });
    let Order::Restore { recovery, .. } = serde_json::from_value(newer).unwrap() else {
        panic!("no restore");
    };
    let expected = ServerRecovery {
        to: to("05:00"),
        timeline: 2,
    };
    assert_eq!(recovery, Some(expected));
}
