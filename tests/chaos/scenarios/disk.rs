//! The disk is full when the answer comes: nothing can be made durable, and the process must hold out.

use super::{LONG, PATIENCE, finish, says, until};
use crate::{
    base::On,
    oracle::Allowed,
    plan::Plan,
    table::{Row, Sums},
    world::World,
};
use gitlab_sim::Endpoint;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;

pub(super) async fn run(plan: &Plan, sums: &Sums) {
    let name = "disk full at the answer";
    if !plan.wants(name) {
        return;
    }
    let row = Row::new(name, On::Sqlite);
    let Some(disk) = SmallDisk::mount() else {
        return row.not_here("a small disk cannot be mounted; run as root");
    };
    let folder = tempfile::Builder::new().tempdir_in(disk.folder.path()).unwrap();
    let world = World::within(On::Sqlite, LONG, plan.of(1, 10), folder).await;
    let mut process = world.start(0, None).await;
    for one in world.all() {
        let gate = world.sim.hold_after(Endpoint::Token);
        let (asking, asked) = (Arc::clone(&world), one.clone());
        tokio::spawn(async move { asking.renew(0, &asked).await });
        gate.reached().await;
        let filler = fill(disk.folder.path());
        gate.release();
        says(&process, &one.id.to_string()).await;
        fs::remove_file(filler).unwrap();
        let kept =
            format!("select count(*) from credentials where connection_id = '{}' and generation = 2", one.id);
        until("the answer is kept", PATIENCE, async || world.base.count(&kept).await == 1).await;
    }
    process.stop().await;
    let found = finish(&world, vec![world.start(0, None).await], Allowed::default()).await;
    row.end(&world, &found, sums);
}

/// A disk of a few megabytes, for as long as this lives.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None`: this user may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|out| out.status.success()).then_some(Self { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}

/// Takes all space that is left.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    path
}
