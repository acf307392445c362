//! Parse, run, exit code.

fn main() -> std::process::ExitCode {
    mooring::cli::run()
}
