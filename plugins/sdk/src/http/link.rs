//! The `Link` header (RFC 8288), as far as paging needs it.

/// The target of the first link whose relation is `next`.
pub fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, link)) = rest.split_once('<') {
        let (target, after) = link.split_once('>')?;
        let (params, following) = split_outside_quotes(after, ',');
        if is_next(params) {
            return Some(target.trim());
        }
        rest = following;
    }
    None
}

/// Splits at the first separator that is not inside quotes; without one, the second part is empty.
fn split_outside_quotes(text: &str, separator: char) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
                return (before, after.strip_prefix(separator).unwrap_or_default());
            }
            _ => {}
        }
    }
    (text, "")
}

/// Whether `rel` is there and names `next`, among others perhaps. Only the first `rel` counts.
fn is_next(params: &str) -> bool {
    let mut rest = params;
    while !rest.is_empty() {
        let (param, following) = split_outside_quotes(rest, ';');
        if let Some((name, value)) = param.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let relations = value.trim().trim_matches('"');
            return relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"));
        }
        rest = following;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        let github =
            r#"<https://h/r?page=1>; rel="prev", <https://h/r?page=3>; rel="next", <https://h/r?page=9>; rel="last""#;
        assert_eq!(next(github), Some("https://h/r?page=3"));
        assert_eq!(next("</r?after=a,b>; title=\"x, <y>; rel=z\"; REL=next"), Some("/r?after=a,b"));
        assert_eq!(next(r#"<n>; rel="last next""#), Some("n"));
    }

    #[test]
    fn other_relations_and_broken_headers_give_nothing() {
        for header in
            ["", "<x>", "<x>; rel=prev", "<x; rel=next", "x; rel=next", r#"<x>; rel="nexts""#, "<a>; rev=next"]
        {
            assert_eq!(next(header), None, "{header}");
        }
    }
}
