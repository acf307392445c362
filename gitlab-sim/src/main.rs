//! `gitlab-sim`: the simulator as a process, for the demo and for acceptance by other processes.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use gitlab_sim::{App, Options, Sim, Version};

/// All scopes that the known application may ask for.
const SCOPES: &[&str] =
    &["api", "read_api", "read_user", "read_repository", "write_repository", "openid", "profile", "email"];

/// A GitLab that behaves, in memory.
#[derive(Parser)]
#[command(name = "gitlab-sim")]
struct Arguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:4000")]
    listen: SocketAddr,
    /// Sub-path of the installation, for example /gitlab
    #[arg(long, default_value = "")]
    base_path: String,
    /// Life of OAuth access tokens in seconds
    #[arg(long, default_value_t = 7200)]
    token_life: u64,
    /// GitLab version to play: 16.9, 16.11, 17.11, 18.11 or 19.1
    #[arg(long, default_value = "19.1")]
    version: Version,
    /// Address that stands in links, when it is not the one it listens on
    #[arg(long)]
    external_url: Option<String>,
    /// Send rate-limit headers on every answer
    #[arg(long)]
    rate_limit_headers: bool,
    /// Id of an OAuth application to register
    #[arg(long, requires_all = ["client_secret", "redirect_uri"])]
    client_id: Option<String>,
    /// Secret of that application
    #[arg(long)]
    client_secret: Option<String>,
    /// Redirect URI of that application
    #[arg(long)]
    redirect_uri: Option<String>,
    /// Make a little world with users, projects and tokens to paste
    #[arg(long)]
    demo: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let options = Options {
        base_path: arguments.base_path.trim_end_matches('/').to_owned(),
        version: arguments.version,
        access_token_life: Duration::from_secs(arguments.token_life),
        external_url: arguments.external_url.map(|url| url.trim_end_matches('/').to_owned()),
        rate_limit_headers: arguments.rate_limit_headers,
        ..Options::default()
    };
    let sim = Sim::start_on(arguments.listen, options).await?;
    say(&format!("GitLab {} (simulated): {}", arguments.version.number(), sim.url()));
    if let (Some(client_id), Some(client_secret), Some(redirect_uri)) =
        (arguments.client_id, arguments.client_secret, arguments.redirect_uri)
    {
        sim.register_application(&App { client_id, client_secret }, &redirect_uri, SCOPES);
    }
    if arguments.demo {
        furnish(&sim);
    } else {
        sim.add_named_user("demo", "Demo Person");
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// The demo's world, and the tokens that a newcomer can paste.
fn furnish(sim: &Sim) {
    let demo = sim.add_named_user("demo", "Demo Person");
    let alice = sim.add_named_user("alice", "Alice Example");
    let acme = sim.add_group("acme");
    let [web, api, _tools] = ["acme/web", "acme/api", "acme/deploy/tools"].map(|path| sim.add_project(path));
    sim.add_member_group(acme, demo, 40);
    sim.add_member_project(web, alice, 30);
    sim.add_member_project(api, alice, 20);
    let expires_at = Some(sim.now().date() + time::Duration::days(90));
    let personal = sim.mint_personal(demo, &["api", "self_rotate"], expires_at);
    let project = sim.mint_project(web, &["api", "self_rotate"], 40, expires_at);
    let group = sim.mint_group(acme, &["read_api"], 30, expires_at);
    say("Tokens to paste:");
    say(&format!("  personal (demo)      {}  scopes: api self_rotate", personal.token));
    say(&format!("  project (acme/web)   {}  scopes: api self_rotate", project.token));
    say(&format!("  group (acme)         {}  scopes: read_api", group.token));
}

#[expect(clippy::print_stdout, reason = "the output is the program's")]
fn say(line: &str) {
    println!("{line}");
}
