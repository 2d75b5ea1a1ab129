//! Made-up programs, run by fake CLIs through a proxy full of faults: state, history and events come out as the
//! independent model says, that is, as if nothing had gone wrong.

use crate::fake::cli::Patience;
use crate::fake::life::Life;
use crate::fake::proxy::FaultProxy;
use crate::support::http::Client;
use crate::support::seed::{for_each_seed, seeds};
use crate::support::server::TestServer;

/// How many seeds run when nobody asks for another number.
const N_SEEDS: u64 = 300;
/// How many CLIs run at once.
const N_CLIS: usize = 6;

#[test]
fn any_program_gives_the_state_of_the_model_whatever_gets_lost() {
    let server = TestServer::start();
    let proxy = FaultProxy::start(server.client.address());
    for_each_seed(&seeds(N_SEEDS), N_CLIS, |seed| {
        let client = Client::new(proxy.address());
        // Each fourth goes without a fault, so that a failure there is not the proxy's.
        let weather = if seed % 4 == 0 { "calm" } else { "wild" };
        let life = Life::new(&client, &format!("{weather}-{seed}"), seed, Patience::FourAttempts);
        let mut life = life.expect("a creation is not harmed");
        for _ in 0..4 {
            life.live();
        }
        life.check(false);
        life.check_is_free();
    });
    let is_one_seed = std::env::var("SEED").is_ok();
    assert!(
        is_one_seed || proxy.n_faults() > 1000,
        "only {} calls were harmed: the proxy does not work",
        proxy.n_faults()
    );
}
