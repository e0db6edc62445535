//! The same answer again and again.

use super::paint::clean;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Shows what `ask` answers every `seconds`, until it is interrupted. On a terminal each takes the place of the one before.
///
/// # Errors
/// What the first answer says is wrong; later ones are shown, for an engine may come back.
pub fn watch(seconds: u64, ask: impl Fn() -> Result<String, String>) -> Result<(), String> {
    let on_screen = std::io::stdout().is_terminal();
    let mut text = ask()?;
    loop {
        let before = if on_screen { "\x1b[H\x1b[2J" } else { "" };
        let shown = writeln!(std::io::stdout(), "{before}{text}\n");
        // Whoever reads has gone: there is nobody to show anything to.
        if shown.and_then(|()| std::io::stdout().flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(seconds));
        text = ask().unwrap_or_else(|why| clean(&why));
    }
}
