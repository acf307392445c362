//! Answers that the database would not take: sealed, one fsynced file each, until the journal has them.

use crate::domain::RenewalId;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

/// A folder of its own below the data directory. It is made when it is first needed.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a sealed answer and waits until it is on the disk, the folder's entry included.
    pub(super) fn keep(&self, attempt: RenewalId, sealed: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let unfinished = self.folder.join(format!("{attempt}.part"));
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.folder.join(attempt.to_string()))?;
        File::open(&self.folder)?.sync_all()
    }

    /// What is waiting. Files that are not ours are passed over.
    pub(super) fn waiting(&self) -> io::Result<Vec<(RenewalId, Vec<u8>)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut waiting = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Ok(attempt) = entry.file_name().to_string_lossy().parse() {
                waiting.push((attempt, fs::read(entry.path())?));
            }
        }
        Ok(waiting)
    }

    /// How many are waiting.
    pub(super) fn count(&self) -> io::Result<usize> {
        match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            entries => Ok(entries?.flatten().filter(|e| e.path().extension().is_none()).count()),
        }
    }

    /// Forgets an answer that the database has.
    pub(super) fn forget(&self, attempt: RenewalId) -> io::Result<()> {
        match fs::remove_file(self.folder.join(attempt.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_kept_waits_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"));
        assert!(spool.waiting().unwrap().is_empty());
        let attempt = RenewalId::fresh();
        spool.keep(attempt, b"sealed").unwrap();
        fs::write(folder.path().join("spool/notes.txt"), "not ours").unwrap();
        assert_eq!(spool.waiting().unwrap(), [(attempt, b"sealed".to_vec())]);
        let mode = fs::metadata(folder.path().join(format!("spool/{attempt}"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        spool.forget(attempt).unwrap();
        spool.forget(attempt).unwrap();
        assert!(spool.waiting().unwrap().is_empty());
    }
}
