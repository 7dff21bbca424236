//! Markup that is ours and text that is anybody's, kept apart.
//!
//! Markup is `&'static str`: written here, by us. Whatever is known only at run time (names of zones, an operator's
//! words, a neighbour's NOTIFICATION, a parser's complaint) comes in as text and leaves escaped, and never becomes a
//! part of a tag. Characters that show nothing, or that change the order of what is shown, are spelled out: a person
//! must be able to trust that a line reads as it is.

use std::fmt::{self, Display, Write};

/// A document as it grows.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // A string takes whatever is written to it.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// Adds text between two pieces of markup.
    pub(super) fn within(
        &mut self,
        open: &'static str,
        text: impl Display,
        close: &'static str,
    ) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push('\n'),
                hidden if is_hidden(hidden) => self.0.extend(hidden.escape_unicode()),
                plain => self.0.push(plain),
            }
        }
        Ok(())
    }
}

/// Whether a character cannot be seen, or moves others: controls, marks and overrides of direction (UAX #9), spaces
/// without width, and what ends lines beside the newline.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup_and_shows_what_it_hides() {
        let mut html = Html::default();
        html.within("<p>", "<script>alert(\"1\" & '2')</script>\u{202e}evil\u{0}\n\u{1b}[31m é", "</p>");
        assert_eq!(
            html.finish(),
            "<p>&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\\u{202e}evil\\u{0}\n\\u{1b}[31m é</p>"
        );
    }
}
