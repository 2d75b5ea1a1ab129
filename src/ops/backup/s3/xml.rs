//! As much XML as the answers of a bucket need: what stands between two tags.

/// The texts between each `<tag>` and its `</tag>`.
pub fn all<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = text.split(&open).skip(1);
    parts.filter_map(|part| part.split_once(&close)).map(|(inside, _)| inside).collect()
}

/// The first of them, as plain text.
pub fn first(text: &str, tag: &str) -> Option<String> {
    let inside = *all(text, tag).first()?;
    let plain =
        inside.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#34;", "\"");
    Some(plain.replace("&apos;", "'").replace("&amp;", "&"))
}

/// Plain text as it stands between tags.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
