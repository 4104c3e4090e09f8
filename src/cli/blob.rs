//! What is printed of contents.

use super::output::{count, row, size};
use crate::admin::{BlobFigures, ContentPlace, ExplainedContent, Fate, ObjectPlace, Run, Swept};

/// Characters of the longest bar.
const BAR: usize = 40;

/// What a sweep has done, or would do.
pub(super) fn swept(run: Run, swept: &Swept) -> String {
    let (went, end) = match run {
        Run::Really => ("removed", ""),
        Run::Dry => ("would be removed", "\nnothing was changed"),
    };
    let waiting = swept.unnamed.saturating_sub(swept.removed);
    let mut text = [
        row("looked at", &format!("{} older than two generations", count(swept.contents, "content"))),
        row("without message", &format!("{} ({})", count(swept.unnamed, "content"), size(swept.unnamed_octets))),
        row(went, &count(swept.removed, "content")),
        row(
            "",
            &format!("{} dropped, {} written again", count(swept.dropped, "object"), count(swept.repacked, "pack")),
        ),
        row("", &format!("{} freed, {} moved", size(swept.freed_octets), size(swept.moved_octets))),
        row("waiting", &format!("{} for their grace time or their pack", count(waiting, "content"))),
        row("left by crashes", &format!("{}, {} old enough", count(swept.orphans, "object"), swept.orphans_removed)),
    ]
    .join("\n");
    if swept.damaged > 0 {
        text += &format!("\n{}", row("damaged", &format!("{} left as they are", count(swept.damaged, "object"))));
    }
    text + end
}

/// Why a content is there.
pub(super) fn explained(explained: &ExplainedContent) -> String {
    let mut lines = vec![row("content", &explained.content)];
    lines.extend(explained.octets.map(|octets| row("size", &size(octets))));
    lines.extend(explained.places.iter().map(|place| match place {
        ContentPlace::Fresh { frames } => row("not packed", &format!("in {}", count(*frames, "frame"))),
        ContentPlace::Staged(object) => row("not packed", &in_object(object)),
        ContentPlace::Settled(object) => row("packed", &in_object(object)),
    }));
    lines.extend(explained.references.iter().map(|reference| {
        row("named by", &format!("{} of {}", count(reference.messages, "message"), reference.account))
    }));
    if explained.under_way {
        lines.push(row("named by", "a delivery that is not packed yet"));
    }
    lines.push(row("goes", &fate(&explained.fate)));
    lines.join("\n")
}

fn in_object(place: &ObjectPlace) -> String {
    let ObjectPlace { object, generation, object_octets, offset, stored_octets } = place;
    let end = offset + stored_octets;
    format!("{object} (generation {generation}, {}), octets {offset} to {end}", size(*object_octets))
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Unknown => "it is not in this store".to_owned(),
        Fate::Named => "never, as long as a message names it".to_owned(),
        Fate::Open { from } => format!("not before {from}, when its generation is closed"),
        Fate::Unnoted => "no message names it; its grace time begins with the next sweep".to_owned(),
        Fate::Waiting { until } => format!("no message names it; with a sweep after {until}"),
        Fate::Expired => "with its pack, once less than half of that is needed".to_owned(),
    }
}

/// Figures with a small chart.
pub(super) fn statistics(figures: &BlobFigures) -> String {
    let sizes = [
        ("in mailboxes", figures.logical_octets),
        ("received", figures.raw_octets),
        ("packed, each once", figures.named_octets),
        ("stored", figures.stored_octets),
        ("of it unpacked", figures.fresh_octets),
        ("of it unneeded", figures.unnamed_stored_octets + figures.retired_octets + figures.orphan_octets),
    ];
    let most = sizes.iter().map(|(_, octets)| *octets).max().unwrap_or(0);
    let mut lines: Vec<String> =
        sizes.iter().map(|(name, octets)| format!("{name:<20}{:>12}  {}", size(*octets), bar(*octets, most))).collect();
    let ratio =
        |ratio: Option<f64>| ratio.map_or_else(|| "nothing is packed".to_owned(), |ratio| format!("{ratio:.2}"));
    lines.push(String::new());
    lines.push(row("messages", &figures.messages.to_string()));
    lines.push(row("dedup", &format!("{} (named by named once)", ratio(figures.dedup_ratio))));
    lines.push(row("compression", &format!("{} (octets by stored)", ratio(figures.compression_ratio))));
    lines.push(row("orphans", &size(figures.orphan_octets)));
    lines.push(row("retired", &size(figures.retired_octets)));
    lines.push(String::new());
    lines.push(format!("{} by the share that messages need:", count(figures.objects, "object")));
    let most = figures.shares.iter().copied().max().unwrap_or(0);
    lines.extend((1..).zip(&figures.shares).map(|(fifth, objects)| {
        format!("{:>4} to {:>3} %{:>14}  {}", (fifth - 1) * 20, fifth * 20, objects, bar(*objects, most))
            .trim_end()
            .to_owned()
    }));
    lines.join("\n")
}

/// A bar of `value` where the longest stands for `most`; none for nothing, and at least one mark for something.
fn bar(value: u64, most: u64) -> String {
    if value == 0 {
        return String::new();
    }
    let marks = (value as f64 / most as f64 * BAR as f64).round() as usize;
    "#".repeat(marks.clamp(1, BAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_for_shares() {
        assert_eq!([bar(0, 10), bar(5, 10), bar(10, 10), bar(1, 1_000_000)].map(|bar| bar.len()), [0, 20, 40, 1]);
    }
}
