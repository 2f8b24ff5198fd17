//! Text written by strangers, made fit for logs and screens: bounded and free of control characters.

/// Replaces control characters (line breaks too) by spaces and cuts after `limit` bytes, with a mark.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let kept = clip(text, limit);
    let mut clean: String = kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if kept.len() < text.len() {
        clean.push_str(" [cut]");
    }
    clean
}

/// The longest beginning of `text` of at most `limit` bytes.
pub(crate) fn clip(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A code or name made for programs: lower case, at most 64 of `[a-z0-9_.-]`, everything else left out.
pub(crate) fn code(text: &str) -> String {
    wherry_domain::failure::Code::received(&clip(text, 256).to_ascii_lowercase()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(one_line("a\x1b[31mb\r\nc", 100), "a [31mb  c");
    }

    #[test]
    fn long_text_is_cut_at_a_character_with_a_mark() {
        assert_eq!(one_line("ääää", 5), "ää [cut]");
        assert_eq!(clip("abc", 10), "abc");
    }

    #[test]
    fn codes_keep_only_their_alphabet() {
        assert_eq!(code("Acme.not found\n"), "acme.notfound");
    }
}
