use std::collections::BTreeSet;

use holdfast_core::domain::{Detail, Event, JobId, JobKind, Resource, ResourceId};
use holdfast_core::planning::looked_at;
use jiff::Timestamp;

use crate::make::{at, point, resource, span};

fn resources(count: usize) -> Vec<Resource> {
    let named = |number| Resource {
        id: ResourceId::new(format!("volume-{number}")).unwrap(),
        ..resource()
    };
    (0..count).map(named).collect()
}

fn wake_up(minute: i64) -> Event {
    let time = span(&format!("{}m", minute + 1)).after(at("2026-01-05T00:00:00Z"));
    Event::new(Detail::WakeUp {}, time)
}

#[test]
fn few_resources_are_all_looked_at_at_each_wake_up() {
    let few = resources(60);
    assert_eq!(looked_at(&few, &wake_up(0)).len(), 60);
    assert_eq!(looked_at(&few, &wake_up(1)).len(), 60);
}

#[test]
fn of_many_resources_each_is_looked_at_once_in_half_an_hour_and_about_as_many_at_each_wake_up() {
    let many = resources(6000);
    let mut seen = BTreeSet::new();
    for minute in 0..30 {
        let looked_at = looked_at(&many, &wake_up(minute));
        assert!(
            (100..300).contains(&looked_at.len()),
            "{} in one minute",
            looked_at.len()
        );
        for resource in looked_at {
            assert!(seen.insert(resource.id.clone()), "{} is looked at twice", resource.id);
        }
    }
    assert_eq!(seen.len(), 6000);
}

#[test]
fn resources_are_looked_at_the_more_often_the_fewer_they_are() {
    let some = resources(240);
    let seen: usize = (0..4).map(|minute| looked_at(&some, &wake_up(minute)).len()).sum();
    assert_eq!(seen, 240, "in four minutes");
}

#[test]
fn an_event_about_a_point_is_about_its_resource_and_one_about_a_job_is_about_none() {
    let mut many = resources(600);
    many.push(resource());
    let time = at("2026-01-05T00:00:00Z");
    let point = point(Timestamp::UNIX_EPOCH).reference();
    let available = Event::new(Detail::PointAvailable { point }, time);
    let names: Vec<_> = looked_at(&many, &available).iter().map(|found| &found.id).collect();
    assert_eq!(names, [&resource().id]);
    let job = Detail::JobRequested {
        job: JobId::derive(&["copy"]),
        kind: JobKind::Copy,
    };
    assert!(looked_at(&many, &Event::new(job, time)).is_empty());
}
