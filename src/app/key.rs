//! The encryption key of our own, in the data directory and readable by its owner alone. It is generated
//! for a new database only: another key could open nothing that is there.

use crate::{
    config::{Config, Database},
    vault::generate_key,
};
use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What a person has to know of a generated key.
pub const KEEP_A_COPY: &str = "an encryption key was generated; keep a copy of it apart from the database: without it no credential can be opened";

/// Generates the key where none is configured and none was generated before; where it is then.
pub fn generate_missing_key(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let file = file_in(&config.data_dir);
    if config.encryption_key.is_some() || file.try_exists()? {
        return Ok(None);
    }
    refuse_to_replace_a_lost_key(&config.database, &file)?;
    let dir = &config.data_dir;
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    write(&file).with_context(|| format!("{} cannot be written", file.display()))?;
    File::open(dir)?.sync_all()?;
    Ok(Some(file))
}

/// The file is there whole or not at all, and one that is there is never replaced.
fn write(file: &Path) -> std::io::Result<()> {
    let key = generate_key();
    let draft = file.with_extension(format!("draft-{}", std::process::id()));
    if draft.try_exists()? {
        fs::remove_file(&draft)?;
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(key.as_bytes())?;
    out.sync_all()?;
    let kept = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    kept
}

fn refuse_to_replace_a_lost_key(database: &Database, file: &Path) -> anyhow::Result<()> {
    let Database::Sqlite(path) = database else { return Ok(()) };
    match fs::metadata(path) {
        Ok(there) if there.len() > 0 => bail!(
            "the key of this database is missing: {} is there, but {} is not. Put the key back, or set \
             MOORING_ENCRYPTION_KEY to it. With another key nothing in this database can be opened",
            path.display(),
            file.display()
        ),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be read", path.display()))
        }
        _ => Ok(()),
    }
}

/// The key that was generated before.
pub(super) fn own_key(data_dir: &Path) -> anyhow::Result<Zeroizing<String>> {
    let file = file_in(data_dir);
    let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let text = Zeroizing::new(text);
    let mode = fs::metadata(&file)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} can be read by others (mode {:o}): chmod 600 it", file.display(), mode & 0o777);
    }
    Ok(Zeroizing::new(text.trim().to_owned()))
}

pub(super) fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("encryption.key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_whole_and_replaces_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = file_in(folder.path());
        write(&file).unwrap();
        let key = own_key(folder.path()).unwrap();
        assert_eq!(key.trim().len(), 44);
        assert_eq!(write(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(own_key(folder.path()).unwrap(), key);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
}
