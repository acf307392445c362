//! What Mooring stands on: the data directory with its disk, the database, and the key to it.

use super::report::Report;
use crate::{
    app,
    config::{Config, Database},
    store::{Schema, Store, StoreError},
};
use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Below this much free space, in bytes, somebody should look.
const LITTLE: u64 = 512 * MEBIBYTE;
/// Below this much there may soon be none.
const TOO_LITTLE: u64 = 64 * MEBIBYTE;
const MEBIBYTE: u64 = 1024 * 1024;

pub(super) fn data_directory(config: &Config, report: &mut Report) {
    const CHECK: &str = "data directory";
    let dir = &config.data_dir;
    let shown = dir.display();
    let mode = match fs::metadata(dir) {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let action = "`mooring serve` makes it; if it was there, look at MOORING_DATA_DIR.";
            return report.warning(CHECK, format!("{shown} is not there yet."), action);
        }
        Err(error) => {
            return report.problem(
                CHECK,
                format!("{shown} cannot be read: {error}."),
                "Look at MOORING_DATA_DIR.",
            );
        }
    };
    let spool = dir.join("spool");
    for folder in [dir.as_path(), spool.as_path()].into_iter().filter(|folder| folder.exists()) {
        if let Err(error) = written(folder) {
            let action = "Give it to the user that Mooring runs as.";
            return report.problem(
                CHECK,
                format!("{} cannot be written: {error}.", folder.display()),
                action,
            );
        }
    }
    if mode & 0o077 != 0 {
        let action = format!("chmod 700 {shown}");
        report.warning(CHECK, format!("others may look into {shown} (mode {:o}).", mode & 0o777), action);
    }
    free_space(dir, report);
}

/// Writes a file of its own and takes it away.
fn written(folder: &Path) -> io::Result<()> {
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?.sync_all()?;
    fs::remove_file(file)
}

fn free_space(dir: &Path, report: &mut Report) {
    const CHECK: &str = "data directory";
    let shown = dir.display();
    let Ok(disk) = rustix::fs::statvfs(dir) else {
        return report.warning(
            CHECK,
            format!("{shown} can be written, but does not tell its free space."),
            "",
        );
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let message = format!("{shown} can be written; {} MiB are free.", free / MEBIBYTE);
    match free {
        0..TOO_LITTLE => report.problem(CHECK, message, "Make room: a token that cannot be kept is lost."),
        TOO_LITTLE..LITTLE => report.warning(CHECK, message, "Make room."),
        _ => report.ok(CHECK, message),
    }
}

/// The store, if it can be read as this version understands it.
pub(super) async fn database(config: &Config, report: &mut Report) -> Option<Store> {
    const CHECK: &str = "database";
    if let Database::Sqlite(file) = &config.database
        && !file.exists()
    {
        let action =
            "`mooring serve` makes it; if it was there, look at MOORING_DATA_DIR and MOORING_DATABASE_URL.";
        report.warning(CHECK, format!("{} is not there yet.", file.display()), action);
        return None;
    }
    let (store, schema) = match app::look_at_store(config).await {
        Ok(looked) => looked,
        Err(error) => {
            report.problem(CHECK, format!("{error:#}."), "");
            return None;
        }
    };
    match store.prove_writable().await {
        Ok(()) => report.ok(CHECK, "answers and can be written."),
        Err(error) => report.problem(
            CHECK,
            format!("cannot be written: {error}."),
            "Nothing can be renewed until it can.",
        ),
    }
    if !is_ours(&schema, report) {
        store.close().await;
        return None;
    }
    key(&store, report).await;
    Some(store)
}

fn is_ours(schema: &Schema, report: &mut Report) -> bool {
    const CHECK: &str = "schema";
    match schema {
        Schema::Current => report.ok(CHECK, "is this version's."),
        Schema::Older { missing } => {
            let action = "The next start of this version brings it up to date; back up first.";
            report.warning(
                CHECK,
                format!("is older than this version: {missing} steps are missing."),
                action,
            );
        }
        Schema::Newer => {
            let action = "Use the version that the servers run, or a newer one.";
            report.problem(CHECK, "is of a version that this one does not know.", action);
        }
    }
    *schema == Schema::Current
}

async fn key(store: &Store, report: &mut Report) {
    const CHECK: &str = "encryption key";
    match store.proves_key().await {
        Ok(_) => sealed(store, report).await,
        Err(StoreError::WrongKey) => {
            let action = "Put the right key there, and older ones into MOORING_ENCRYPTION_KEYS_RETIRED.";
            report.problem(CHECK, "MOORING_ENCRYPTION_KEY is not the key of this database.", action);
        }
        Err(error) => report.problem(CHECK, format!("could not be tried: {error}."), ""),
    }
}

async fn sealed(store: &Store, report: &mut Report) {
    const CHECK: &str = "encryption key";
    let (active, retired) = store.key_ids();
    let counts = match store.sealed_counts().await {
        Ok(counts) => counts,
        Err(error) => return report.problem(CHECK, format!("could not be tried: {error}."), ""),
    };
    report.ok(CHECK, format!("{active} opens the database."));
    for (key, count) in counts.into_iter().filter(|(key, _)| *key != active) {
        if retired.contains(&key) {
            let message = format!("{count} values are still sealed under the retired key {key}.");
            report.warning(CHECK, message, "Run `mooring reseal` before you take that key away.");
        } else {
            let message = format!("{count} values are sealed under the key {key}, which is not here.");
            report.problem(
                CHECK,
                message,
                "Add it to MOORING_ENCRYPTION_KEYS_RETIRED: nobody can open them.",
            );
        }
    }
}
