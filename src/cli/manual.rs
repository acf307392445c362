//! `mooring completions` and `mooring man`: both are made from the sub-commands themselves, so neither goes stale.

use super::{Arguments, Failure};
use clap::CommandFactory;
use clap_complete::Shell;
use std::{
    io::{self, Write as _},
    path::Path,
};

/// Prints what a shell completes.
pub(super) fn print_completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mooring", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// Prints the page of `mooring`, or writes one page for each command into a folder.
pub(super) fn print_manual(folder: Option<&Path>) -> Result<(), Failure> {
    let command = Arguments::command();
    if let Some(folder) = folder {
        return Ok(clap_mangen::generate_to(command, folder)?);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(io::stdout().lock().write_all(&page)?)
}
