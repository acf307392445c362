//! Programs that the tests start must end with the tests, and libtest has no place to end them: it leaves by
//! `exit`, and a test run may be killed. So a shell script starts the program and then reads its standard input,
//! whose other end only this process holds. When this process ends, however it ends, the script reads the end of
//! the file, stops its program and removes its folder.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

/// A script that is running; it stops its program when this is dropped or this process ends.
pub(crate) struct Watchdog {
    script: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watchdog {
    /// Runs a script in a process group of its own, where a Ctrl-C in the terminal does not reach it. The script
    /// can run itself again under another name: it is its own `$0`.
    pub(crate) fn start(script: &str) -> Self {
        let mut script = Command::new("sh")
            .args(["-c", script, script])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let output = script.stdout.take().expect("its output is a pipe");
        Self { script, lines: BufReader::new(output).lines() }
    }

    /// The next line that the script prints, or `None` when it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.expect("the script prints text"))
    }

    /// Everything that the script still prints until it ends.
    pub(crate) fn last_words(&mut self) -> String {
        std::iter::from_fn(|| self.hear()).collect::<Vec<_>>().join("\n")
    }

    /// Gives the script a line to read.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input(), "{line}").expect("the script reads until its input ends");
    }

    /// Reads and forgets what the script prints from now on, so that it never waits for a reader.
    pub(crate) fn ignore(self) -> Leash {
        thread::spawn(move || self.lines.for_each(drop));
        Leash { _script: self.script }
    }

    fn input(&mut self) -> &mut ChildStdin {
        self.script.stdin.as_mut().expect("its input is a pipe")
    }
}

/// What is left of a [`Watchdog`] that nobody listens to: it holds the script's input open.
pub(crate) struct Leash {
    _script: Child,
}
