//! Answers that the database would not take: sealed, one fsynced file each, until the journal has them.
//!
//! What keeps the database from taking an answer may be a full disk. So room for some answers is set aside
//! beforehand, and an answer is written over it.

use crate::domain::RenewalId;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// So many answers may be on their way at once from one instance.
const RESERVED: usize = 16;
/// Token endpoints answer with a few hundred bytes.
const ROOM: usize = 16 * 1024;

/// A folder of its own below the data directory. It is made when it is first needed.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    reserve: PathBuf,
}

impl Spool {
    pub fn new(folder: PathBuf) -> Self {
        let reserve = folder.with_extension("reserve");
        Self { folder, reserve }
    }

    /// Sets room aside, where some was used or none was yet.
    pub fn set_room_aside(&self) -> io::Result<()> {
        make_private(&self.folder)?;
        make_private(&self.reserve)?;
        for nth in 0..RESERVED {
            match private().create_new(true).open(self.room(nth)) {
                Ok(mut file) => {
                    file.write_all(&[0; ROOM])?;
                    file.sync_all()?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        File::open(&self.reserve)?.sync_all()
    }

    fn room(&self, nth: usize) -> PathBuf {
        self.reserve.join(nth.to_string())
    }

    /// Writes a sealed answer and waits until it is on the disk, the folder's entry included.
    pub(super) fn keep(&self, attempt: RenewalId, sealed: &[u8]) -> io::Result<()> {
        make_private(&self.folder)?;
        let unfinished = self.folder.join(format!("{attempt}.part"));
        // Whoever renames a piece of room has it.
        let _ = (0..RESERVED).find(|nth| fs::rename(self.room(*nth), &unfinished).is_ok());
        let mut file = private().create(true).truncate(false).open(&unfinished)?;
        file.write_all(sealed)?;
        file.set_len(u64::try_from(sealed.len()).expect("a length fits"))?;
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
    pub fn count(&self) -> io::Result<usize> {
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

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
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

    #[test]
    fn an_answer_takes_the_room_that_was_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().join("spool"));
        spool.set_room_aside().unwrap();
        let room = |spool: &Spool| fs::read_dir(&spool.reserve).unwrap().count();
        assert_eq!(room(&spool), RESERVED);
        let attempts: Vec<_> = (0..=RESERVED).map(|_| RenewalId::fresh()).collect();
        for attempt in &attempts {
            spool.keep(*attempt, b"sealed").unwrap();
        }
        assert_eq!(room(&spool), 0, "and one more had to find room of its own");
        assert!(spool.waiting().unwrap().iter().all(|(_, sealed)| sealed == b"sealed"));
        spool.set_room_aside().unwrap();
        assert_eq!(room(&spool), RESERVED);
    }
}
