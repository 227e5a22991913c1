//! A server's log that the running program receives as it is written: what a killed server loses, also where the program itself
//! was killed before.

use crate::domain::Scene;
use crate::server::wait_until;
use crate::tools::Ran;
use crate::world::ledger;

impl Scene {
    fn is_received(&self) -> bool {
        let asked = "SELECT active FROM pg_replication_slots WHERE slot_name = 'pulled_receiver'";
        self.world.server.sql(asked) == "t"
    }

    fn written(&self) -> u64 {
        self.world.server.sql("SELECT count(*) FROM ledger").parse().unwrap()
    }
}

#[test]
fn a_killed_server_loses_no_more_than_two_seconds_of_what_the_program_receives() {
    let mut scene = Scene::with(&[], |_| "log = \"continuous\"".to_owned());
    Ran::of(&mut scene.holdfast(&["backup", "orders"])).ends(0);
    let serving = scene.serve();
    wait_until("the log is received", || scene.is_received());
    let writer = scene.world.writer();
    wait_until("the ledger grows", || scene.written() > 1000);
    // The program is killed, and the next one goes on where it was.
    serving.kill();
    wait_until("the server notices", || !scene.is_received());
    let before = scene.written();
    let serving = scene.serve();
    wait_until("the log is received again", || scene.is_received());
    wait_until("the ledger grows", || scene.written() > before + 1500);
    let last: u64 = scene.world.server.sql("SELECT max(id) FROM ledger").parse().unwrap();
    scene.world.server.kill();
    drop(writer);
    serving.stop();

    let restored = scene.recovered("primary");
    let found = ledger(&restored);
    drop(restored);
    // What stands on the killed server's own disk is the truth.
    scene.world.server.begin();
    let truth = ledger(&scene.world.server);
    assert_eq!(found, truth[..found.len()], "what is restored is its history");
    let lost = truth.last().unwrap().1 - found.last().unwrap().1;
    println!(
        "{} of {} transactions restored, {} microseconds of commits lost",
        found.len(),
        truth.len(),
        lost
    );
    assert!(found.last().unwrap().0 + 3 >= last, "{last} stood before the kill");
    assert!(lost <= 2_000_000, "{lost} microseconds of commits are lost");
}
