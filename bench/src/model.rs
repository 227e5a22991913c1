//! What a backup of very much takes on Lambda, worked out from measured figures: time and money, by terabytes and workers.

/// Bytes a second that one Lambda function gets from the network in the long run, whatever its memory
/// (github.com/sjakthol/aws-network-benchmark: 0.6 Gbit/s).
const NETWORK: f64 = 75e6;
/// Seconds that one page of a listing takes.
const PAGE_SECONDS: f64 = 0.05;
const KEYS_ON_PAGE: f64 = 1000.0;
const OBJECT_BYTES: f64 = 1048576.0;
const PACK_BYTES: f64 = 32.0 * 1048576.0;
/// Memory of a worker: one processor's worth.
const GIGABYTES: f64 = 1769.0 / 1024.0;
/// Dollars of us-east-1: a gigabyte of Lambda for a second, a GET, and a PUT or a LIST (aws.amazon.com/lambda/pricing,
/// aws.amazon.com/s3/pricing).
const GIGABYTE_SECOND: f64 = 0.000_016_666_7;
const GET: f64 = 0.000_000_4;
const PUT: f64 = 0.000_005;

/// What one backup takes.
struct Estimate {
    hours: f64,
    dollars: f64,
}

/// A first backup of so many terabytes of objects of a mebibyte by so many workers. Each lists everything, reads its share
/// meanwhile, and one lists once more at the end to make the snapshot.
fn estimate(terabytes: f64, workers: f64, efficiency: f64) -> Estimate {
    let bytes = terabytes * 1e12;
    let objects = bytes / OBJECT_BYTES;
    let pages = objects / KEYS_ON_PAGE;
    let listing = pages * PAGE_SECONDS;
    let reading = bytes / (workers * NETWORK * efficiency);
    let seconds = listing.max(reading) + listing;
    let computing = (workers * listing.max(reading) + listing) * GIGABYTES * GIGABYTE_SECOND;
    let requests = objects * GET + bytes / PACK_BYTES * PUT + (workers + 1.0) * pages * PUT;
    Estimate {
        hours: seconds / 3600.0,
        dollars: computing + requests,
    }
}

/// Prints the table, for workers that together reach `efficiency` of the sum of what each reaches alone.
pub fn print(efficiency: f64) {
    let workers = [10.0, 100.0, 1000.0];
    println!("\n| hours / dollars | 10 workers | 100 workers | 1,000 workers |");
    println!("| --- | --- | --- | --- |");
    for terabytes in [1.0, 10.0, 100.0] {
        let cells = workers.map(|workers| {
            let Estimate { hours, dollars } = estimate(terabytes, workers, efficiency);
            format!("{hours:.2} / {dollars:.0}")
        });
        println!("| {terabytes} TB | {} |", cells.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_gets_shorter_with_workers_and_listing_does_not() {
        let [few, many, most] = [10.0, 100.0, 10_000.0].map(|workers| estimate(10.0, workers, 1.0));
        // 10 TB at 750 MB/s are 3.7 hours; two listings of 9,537 pages are a quarter of an hour.
        assert!((few.hours - (3.704 + 0.132)).abs() < 0.01, "{}", few.hours);
        assert!(many.hours < few.hours / 5.0);
        assert!((most.hours - 2.0 * 0.132).abs() < 0.01, "{}", most.hours);
        assert!(most.dollars > 10.0 * few.dollars, "everybody lists everything");
    }
}
