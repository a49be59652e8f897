//! Names made harmless. They come from telemetry: in a terminal, a page or a message nothing in them may do anything.

/// `character`, or U+FFFD for what does not show or turns the text around: control, bidirectional, zero-width, tag and
/// line-separating characters.
pub fn visible(character: char) -> char {
    match character {
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}

/// `text` with every character [`visible`].
pub fn inert(text: &str) -> String {
    text.chars().map(visible).collect()
}
