//! ClockedServer: a server inside the test's process, whose clock the test moves.

use super::http::Client;
use super::process::TempDir;
use super::server::ORG;
use super::stack::TestStack;
use pulumi_backend::clock::Clock;
use pulumi_backend::config::{Config, given};
use pulumi_backend::gate::LocalAddress;
use pulumi_backend::server::Server;
use serde_json::json;

/// A server of its own for one test, with an empty database and a clock that only the test moves by leaps.
pub struct ClockedServer {
    server: Option<Server>,
    config: Config,
    /// Its time of day.
    pub clock: Clock,
    /// Calls to its address.
    pub client: Client,
    _dir: TempDir,
}

impl ClockedServer {
    /// A server without any configuration.
    pub fn start() -> ClockedServer {
        ClockedServer::start_with(&[])
    }

    /// A server with further arguments.
    pub fn start_with(extra_args: &[&str]) -> ClockedServer {
        let (dir, clock) = (TempDir::new("clocked"), Clock::default());
        let db = dir.path().join("pulumi-backend.db").display().to_string();
        let arguments = [&["--addr", "127.0.0.1:0", "--db", &db], extra_args].concat();
        let arguments = arguments.into_iter().map(str::to_string);
        let given = given::read(arguments, [], |_, _| None).expect("good arguments");
        let config = Config::from_values(&given.values).expect("a configuration");
        let (server, client) = serve(&config, &clock);
        ClockedServer { server: Some(server), config, clock, client, _dir: dir }
    }

    /// A clean stop, and a start on the same data with the same clock.
    pub fn restart(&mut self) {
        self.server.take().expect("a server").stop();
        let (server, client) = serve(&self.config, &self.clock);
        (self.server, self.client) = (Some(server), client);
    }

    /// A new stack.
    #[track_caller]
    pub fn create_stack(&self, project: &str, name: &str) -> TestStack<'_> {
        let stack = self.stack(project, name);
        stack.create(json!({})).ok();
        stack
    }

    /// A stack of the organization of the open mode.
    pub fn stack(&self, project: &str, name: &str) -> TestStack<'_> {
        TestStack::new(&self.client, project, name)
    }

    /// The organization's stacks, as a list.
    #[track_caller]
    pub fn list(&self) -> serde_json::Value {
        let request = super::http::Request::new("GET", format!("/api/user/stacks?organization={ORG}"));
        self.client.send(&request).expect("an answer").ok().json()["stacks"].clone()
    }
}

fn serve(config: &Config, clock: &Clock) -> (Server, Client) {
    let server = Server::start(config.clone(), clock.clone()).expect("start a server");
    let Some(LocalAddress::Tcp(address)) = server.address().cloned() else { panic!("it listens on TCP") };
    (server, Client::new(address.to_string()))
}

impl Drop for ClockedServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}
