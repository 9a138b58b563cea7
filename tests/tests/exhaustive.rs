//! Every interleaving of small configurations. More of them: `cargo run --release -p ackline-tests --example explore`.

use ackline_tests::explore::{explore, setups};

// R2.1 R2.2 R2.3 R8.18 R12.8
#[test]
fn every_interleaving_of_small_configurations_keeps_every_promise_and_comes_to_rest() {
    for setup in setups::small() {
        let report = explore(&setup, 1_000_000);
        if let Some(violation) = report.violation {
            panic!("{violation}\n{setup:#?}");
        }
        assert!(report.is_complete, "{}: more states than expected", setup.name);
        assert!(report.rest_count > 0 && report.state_count > 100, "{}: {report:?}", setup.name);
    }
}
