//! What the demo prints: numbered steps, commands with their output, and how each step ended.
//!
//! Plain text; colours only when somebody looks at a terminal.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use crate::host::Kamailio;

const BOLD: &str = "1";
const GREY: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";

/// The place where it is shown.
pub struct Stage {
    colours: bool,
    step: Cell<u32>,
}

impl Stage {
    pub fn new() -> Self {
        Self {
            colours: std::io::stdout().is_terminal(),
            step: Cell::new(0),
        }
    }

    pub fn title(&self, text: &str) {
        println!("{}\n", self.paint(BOLD, text));
    }

    /// The next step begins.
    pub fn step(&self, text: &str) {
        self.step.set(self.step.get() + 1);
        let text = format!("{}. {text}", self.step.get());
        println!("\n{}", self.paint(BOLD, &text));
    }

    pub fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// How a step ended, when it ended well.
    pub fn good(&self, text: &str) {
        println!("   {} {text}", self.paint(GREEN, "ok"));
    }

    pub fn fail(&self, reason: &str) {
        println!("   {} {reason}", self.paint(RED, "FAILED"));
    }

    pub fn end(&self, duration: Duration) {
        let text = format!(
            "All as it should be, in {:.1} seconds.",
            duration.as_secs_f32()
        );
        println!("\n{}", self.paint(BOLD, &text));
    }

    /// Runs an operator's command and shows it with its output, as in a terminal.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn command(&self, server: &Kamailio, words: &[&str]) -> Result<String, String> {
        println!(
            "   {}",
            self.paint(BOLD, &format!("$ kamcmd {}", words.join(" ")))
        );
        let output = server.kamcmd(words).map_err(|fault| {
            format!(
                "{} was refused: {} {}",
                words.join(" "),
                fault.code,
                fault.message
            )
        })?;
        output.trim_end().lines().for_each(|line| self.output(line));
        Ok(output)
    }

    /// A line that the server wrote.
    pub fn output(&self, line: &str) {
        println!("   {}", self.paint(GREY, &line.replace('\t', "  ")));
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
