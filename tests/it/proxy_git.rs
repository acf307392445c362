//! git, unmodified, through the proxy: nothing but the address is changed, and no token lies on the disk.

use crate::support::{
    app::{On, TestApp, on_both},
    front::Front,
    git::{git, try_git},
    process::Process,
};
use serde_json::json;
use std::{io::Write, path::Path};
use tempfile::TempDir;

/// An app with a front before its GitLab, and the address of a repository there with the key in it.
struct Workshop {
    app: TestApp,
    front: Front,
    token: String,
    key: String,
    desk: TempDir,
}

impl Workshop {
    async fn start(on: On) -> Self {
        let mut app = TestApp::start(on).await;
        let front = Front::start(app.sim()).await;
        app.restart_with(&[("MOORING_INTEGRATION_FRONT_URL", &front.url)]).await;
        let scopes = ["api", "read_repository", "write_repository"];
        let minted = app.sim().mint_project(app.world.project, &scopes, 40, None);
        let new = json!({ "name": "acme bot", "integration": "front", "token": minted.token });
        app.program(&["connections:write"]).await.post_json("/api/v1/connections", new).await.expect(201);
        let key = app.program(&["proxy"]).await.key().expect("it has one").to_owned();
        let desk = TempDir::new().expect("a temporary folder can be made");
        Self { app, front, token: minted.token, key, desk }
    }

    fn address(&self, of: &str) -> String {
        format!("http://git:{}@{of}/proxy/acme%20bot/acme/web.git", self.key)
    }
}

async fn commit(folder: &Path, file: &str, text: &str) {
    std::fs::write(folder.join(file), text).expect("a file can be written");
    git(folder, &["add", "."]).await;
    git(folder, &["commit", "--quiet", "-m", file]).await;
}

on_both!(clone_push_and_fetch, async |on: On| {
    let shop = Workshop::start(on).await;
    shop.front.repositories().add("acme/web").await;
    let address = shop.address(shop.app.site().trim_start_matches("http://"));
    let (first, second) = (shop.desk.path().join("first"), shop.desk.path().join("second"));
    git(shop.desk.path(), &["clone", "--quiet", &address, "first"]).await;
    commit(&first, "one", "1").await;
    git(&first, &["push", "--quiet", "origin", "HEAD:main"]).await;
    git(shop.desk.path(), &["clone", "--quiet", &address, "second"]).await;
    assert_eq!(std::fs::read_to_string(second.join("one")).expect("it is there"), "1");
    commit(&first, "two", &"2".repeat(2 << 20)).await;
    git(&first, &["push", "--quiet", "origin", "HEAD:main"]).await;
    git(&second, &["pull", "--quiet", "--ff-only"]).await;
    assert!(second.join("two").exists());
    for clone in [&first, &second] {
        let config = std::fs::read_to_string(clone.join(".git/config")).expect("a configuration");
        assert!(!config.contains(&shop.token), "no token of GitLab lies on the disk");
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn large_files_go_both_ways_with_the_callers_own_key() {
    let shop = Workshop::start(On::Sqlite).await;
    shop.front.repositories().add("acme/web").await;
    let address = shop.address(shop.app.site().trim_start_matches("http://"));
    let (first, second) = (shop.desk.path().join("first"), shop.desk.path().join("second"));
    git(shop.desk.path(), &["clone", "--quiet", &address, "first"]).await;
    git(&first, &["lfs", "install", "--local"]).await;
    git(&first, &["lfs", "track", "*.bin"]).await;
    noise(&first.join("large.bin"), 8);
    git(&first, &["add", "."]).await;
    git(&first, &["commit", "--quiet", "-m", "large"]).await;
    git(&first, &["push", "--quiet", "origin", "HEAD:main"]).await;
    assert_eq!(shop.front.objects().count(), 1, "the object went to GitLab's own storage");

    let filters =
        ["-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.process=git-lfs filter-process"];
    let clone = ["clone", "--quiet", &address, "second"];
    git(shop.desk.path(), &[&filters[..], &clone[..]].concat()).await;
    let sent = std::fs::read(first.join("large.bin")).expect("it is there");
    assert!(sent == std::fs::read(second.join("large.bin")).expect("it is there"), "it is the same");
    for clone in [&first, &second] {
        let told = git(clone, &["lfs", "env"]).await;
        assert!(!told.contains(&shop.token), "git-lfs never saw a token of GitLab");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_and_a_dead_token_are_told_and_not_asked_for_again() {
    let shop = Workshop::start(On::Sqlite).await;
    shop.front.repositories().add("acme/web").await;
    let address = shop.address(shop.app.site().trim_start_matches("http://"));
    let wrong = address.replace(&shop.key, "moor_wrong");
    let told = try_git(shop.desk.path(), &["clone", &wrong, "first"]).await;
    assert!(!told.status.success());
    assert!(String::from_utf8_lossy(&told.stderr).contains("Authentication failed"), "{told:?}");
    shop.app.sim().revoke(&shop.token);
    let told = try_git(shop.desk.path(), &["clone", &address, "first"]).await;
    assert!(!told.status.success());
    assert!(!String::from_utf8_lossy(&told.stderr).contains(&shop.token));
}

/// What cannot be compressed, in a repository that is cloned through a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_clone_streams_with_flat_memory() {
    const MEBIBYTES: usize = 200;
    let shop = Workshop::start(On::Sqlite).await;
    let bare = shop.front.repositories().add("acme/web").await;
    let work = shop.desk.path().join("work");
    std::fs::create_dir(&work).expect("a folder can be made");
    git(&work, &["init", "--quiet", "--initial-branch=main"]).await;
    git(&work, &["config", "core.compression", "0"]).await;
    noise(&work.join("noise"), MEBIBYTES);
    git(&work, &["add", "noise"]).await;
    git(&work, &["commit", "--quiet", "-m", "noise"]).await;
    git(&work, &["push", "--quiet", bare.to_str().expect("a path is text"), "main"]).await;

    let process = Process::start(&shop.app, &[("MOORING_LISTEN", "127.0.0.1:0")]).await;
    let address = shop.address(process.address());
    git(shop.desk.path(), &["ls-remote", "--quiet", &address]).await;
    let before = process.most_memory();
    git(shop.desk.path(), &["clone", "--quiet", &address, "clone"]).await;
    let after = process.most_memory();
    let size = std::fs::metadata(shop.desk.path().join("clone/noise")).expect("it is there").len();
    assert_eq!(size, (MEBIBYTES as u64) << 20);
    println!("a clone of {MEBIBYTES} MiB: {before} KiB of memory before it, {after} KiB at most in it");
    assert!(after < before + 32 * 1024, "{before} KiB before, {after} KiB at most");
    process.stop().await;
}

fn noise(path: &Path, mebibytes: usize) {
    let mut file = std::fs::File::create(path).expect("a file can be made");
    let mut state = 1_u64;
    let mut piece = vec![0_u8; 1 << 20];
    for _ in 0..mebibytes {
        for word in piece.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.copy_from_slice(&(state ^ (state >> 29)).to_le_bytes());
        }
        file.write_all(&piece).expect("there is room");
    }
}
