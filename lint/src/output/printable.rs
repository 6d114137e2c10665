//! Text of manifests on a terminal.
//!
//! A manifest may hold characters that a terminal obeys: escape sequences that recolour or hide what follows, or marks
//! that reverse the order of what is read. What is shown of it must not be able to do that.

use std::borrow::Cow;
use std::path::Path;

/// A text on one line, with control characters as their escapes: `\n`, `\u{1b}`.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) { line.extend(character.escape_default()) } else { line.push(character) }
    }
    Cow::Owned(line)
}

/// A path in a message.
pub(crate) fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy()).into_owned()
}

/// A drawing for the terminal without the control characters that don't belong to it: line ends, tabs and, where it is
/// in `colour`, colours stay.
pub(crate) fn drawing(text: &str, colour: bool) -> Cow<'_, str> {
    let strange = |character: char| is_unsafe(character) && !matches!(character, '\n' | '\t');
    if !text.contains(strange) {
        return Cow::Borrowed(text);
    }
    let harmless = text.char_indices().map(|(at, character)| {
        let kept = !strange(character) || (colour && is_colour(&text[at..]));
        if kept { character } else { char::REPLACEMENT_CHARACTER }
    });
    Cow::Owned(harmless.collect())
}

/// Control characters, and those that change the direction of text.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a text begins with an escape sequence that sets colours.
fn is_colour(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return false };
    rest.trim_start_matches(|character: char| character.is_ascii_digit() || character == ';').starts_with('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(one_line("plain ä"), "plain ä");
        assert_eq!(one_line("a\nb\u{1b}[2Jc\u{202e}"), r"a\nb\u{1b}[2Jc\u{202e}");
    }

    #[test]
    fn drawings() {
        let red = "\u{1b}[1;31mred\u{1b}[0m\n\ttext";
        assert_eq!(drawing(red, true), red);
        assert_eq!(drawing(red, false), "\u{fffd}[1;31mred\u{fffd}[0m\n\ttext");
        assert_eq!(drawing("\u{1b}[2J\u{8}", true), "\u{fffd}[2J\u{fffd}");
    }
}
