//! `mmsim completions` and `mmsim man`: the command line, described for a shell and for `man`.

use clap::Command;
use clap_complete::Shell;

use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints a script that completes the command line in a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<Exit, Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print(&script)
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The command whose page is wanted; that of `mmsim` itself, if none is named.
    command: Option<String>,
}

/// Prints a manual page.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<Exit, Failure> {
    let command = match &args.command {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            let found = found.ok_or_else(|| Failure {
                exit: Exit::Usage,
                message: format!("there is no command `{name}`; `mmsim --help` lists them"),
            })?;
            found.name(format!("mmsim-{name}"))
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Failure::bad_input)?;
    print(&page)
}

/// Prints a text. It is no error if the reader takes only a part of it and goes away, as `head` does.
fn print(text: &[u8]) -> Result<Exit, Failure> {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::bad_input(error)),
        _ => Ok(Exit::AsExpected),
    }
}
