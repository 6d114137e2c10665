//! What the output can show.

use std::io::IsTerminal;

use crate::output::full::Look;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On terminals, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Standard output and what it can show.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// It is a terminal and no file or pipe.
    pub interactive: bool,
    /// Colours are wanted.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Terminal {
    /// Standard output of this process.
    pub fn of_process(color: Color) -> Self {
        let interactive = std::io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => interactive && !set("NO_COLOR") && !dumb,
        };
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        Self { interactive, colour, width: if interactive { width.clamp(60, 140) } else { 100 } }
    }

    /// For the graphical output. Pipes and files get plain characters.
    pub fn look(self) -> Look {
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"));
        Look { colour: self.colour, unicode: self.interactive && utf8, width: self.width }
    }
}
