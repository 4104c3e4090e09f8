//! An attachment that a mail program should not open.

use super::Finding;
use crate::{message::Part, spam::Evidence};

/// Types that run when opened, as the large providers refuse them.
const RUNS: &[&str] = &[
    "ade", "adp", "apk", "bat", "chm", "cmd", "com", "cpl", "dll", "exe", "hta", "iso", "jar", "js", "jse", "lnk",
    "msi", "msp", "mst", "pif", "ps1", "scr", "vb", "vbe", "vbs", "vhd", "vhdx", "wsf", "wsh",
];

pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let extension =
        evidence.analysis.root.leaves().filter_map(file_extension).find(|name| RUNS.contains(&name.as_str()))?;
    Some(Finding::new(2.5, format!("an attachment of type .{extension}")))
}

fn file_extension(part: &Part) -> Option<String> {
    let disposition = part.disposition.iter().flat_map(|(_, parameters)| parameters);
    let mut names = disposition.chain(&part.parameters).filter(|(name, _)| name == "filename" || name == "name");
    names.find_map(|(_, value)| value.trim().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use crate::spam::signal::names_found;

    #[test]
    fn the_file_name_decides() {
        for (name, found) in [("invoice.pdf.EXE", true), ("invoice.pdf", false)] {
            let raw = format!(
                "From: a@example.org\r\nContent-Type: application/octet-stream\r\n\
                 Content-Disposition: attachment; filename=\"{name}\"\r\n\r\nx\r\n"
            );
            assert_eq!(names_found(raw.as_bytes(), None).contains(&"dangerous_attachment".to_owned()), found, "{name}");
        }
    }
}
