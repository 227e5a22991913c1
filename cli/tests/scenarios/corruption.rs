//! A bad release writes wrong totals, and goes unnoticed for half a day.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use holdfast_core::domain::{Point, Span};
use holdfast_core::planning::find_clean_point;
use jiff::SignedDuration;

use crate::world::{World, figure, now, pass, play};

/// The application's books: an order a line, and beside them their total.
fn write_books(world: &World, orders: usize, error: usize) {
    let lines: String = (0..orders)
        .map(|order| format!("order-{order},{}\n", 10 + order % 7))
        .collect();
    let total: usize = (0..orders).map(|order| 10 + order % 7).sum();
    world.write("orders.csv", lines);
    world.write("total", (total + error).to_string());
}

/// What the application itself can tell of its books.
fn books_agree(folder: &Path) -> bool {
    let orders = fs::read_to_string(folder.join("orders.csv")).unwrap();
    let total: usize = fs::read_to_string(folder.join("total")).unwrap().parse().unwrap();
    let sum: usize = orders
        .lines()
        .map(|line| line.split_once(',').unwrap().1.parse::<usize>().unwrap())
        .sum();
    sum == total
}

#[test]
fn after_silent_corruption_the_last_good_point_is_found_by_a_few_restores() {
    play(async |world: World| {
        const POINTS: usize = 16;
        const BAD_FROM: usize = 11;
        let mut corrupted_at = None;
        for hour in 0..POINTS {
            if hour == BAD_FROM {
                corrupted_at = Some(now());
            }
            write_books(&world, 100 + hour, usize::from(hour >= BAD_FROM));
            world.back_up().await;
            pass(SignedDuration::from_mins(50));
        }
        let points = world.points().await;
        let mut tested = BTreeMap::new();
        let found = loop {
            let found = find_clean_point(&points, &tested);
            let Some(next) = &found.next_to_test else { break found };
            let point = points.iter().find(|point| point.id == next.id).unwrap();
            let good = world.look_into(point, "primary", books_agree).await;
            assert!(tested.insert(point.id.clone(), good).is_none());
        };
        let newest = found.newest.unwrap();
        let last_good: &Point = &points[BAD_FROM - 1];
        assert_eq!(newest.id, last_good.id);
        assert!(
            found.points.iter().all(|judged| judged.signs.is_empty()),
            "one wrong number shows nowhere"
        );
        assert!(tested.len() <= 5, "1 + log2(16), rounded up: {}", tested.len());
        let loss = Span::between(newest.taken_at, corrupted_at.unwrap());
        assert!(loss <= "2h".parse().unwrap(), "{loss}");
        figure("corruption: points searched", points.len());
        figure("corruption: restores until the last good point was known", tested.len());
        figure(
            "corruption: good work lost (from that point to the first wrong total)",
            loss,
        );
    });
}
