//! Medians, spreads and the table.

use std::fmt::Write;

/// What a figure must be against its bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// At least this many times the peer's.
    AtLeast(f64),
    /// At most this many times the peer's.
    AtMost(f64),
    /// At most this, by itself.
    Within(f64),
}

/// A figure, taken several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figure(Vec<f64>);

/// The rows of the table.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<String>,
}

impl Figure {
    /// Adds what one round gave.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    fn shown(&self, scale: f64, unit: &str) -> String {
        let (low, high) = (self.0[0] / scale, self.0[self.0.len() - 1] / scale);
        format!("{:.2} {unit} ({low:.2} to {high:.2})", self.median() / scale)
    }
}

impl Report {
    /// Adds a row that compares with a peer. Figures are shown divided by `scale`, as `unit`.
    pub(crate) fn compare(
        &mut self,
        what: &str,
        own: &Figure,
        peer: (&str, &Figure),
        bar: Bar,
        shown: (f64, &str),
    ) {
        let (name, peer) = peer;
        let ratio = own.median() / peer.median();
        let (wanted, met) = match bar {
            Bar::AtLeast(least) => (format!("at least {least}"), ratio >= least),
            Bar::AtMost(most) => (format!("at most {most}"), ratio <= most),
            Bar::Within(most) => (format!("at most {most}"), own.median() <= most),
        };
        let (own, peer) = (own.shown(shown.0, shown.1), peer.shown(shown.0, shown.1));
        self.row(&format!("{what} against {name}"), &[&own, &peer, &format!("{ratio:.2}"), &wanted], met);
    }

    /// Adds a row with a bar of its own.
    pub(crate) fn alone(&mut self, what: &str, own: &Figure, bar: Bar, shown: (f64, &str)) {
        let Bar::Within(most) = bar else { panic!("{bar:?} needs a peer") };
        let wanted = format!("at most {:.0} {}", most / shown.0, shown.1);
        self.row(what, &[&own.shown(shown.0, shown.1), "", "", &wanted], own.median() <= most);
    }

    /// Adds a row that must reach a number of its own.
    pub(crate) fn reaches(&mut self, what: &str, own: &Figure, least: f64, unit: &str) {
        let wanted = format!("at least {least:.0} {unit}");
        self.row(what, &[&own.shown(1.0, unit), "", "", &wanted], own.median() >= least);
    }

    /// The table in Markdown.
    pub(crate) fn table(&self) -> String {
        let head = "| figure | sluice | peer | ratio | bar | |\n|---|---|---|---|---|---|\n";
        self.rows.iter().fold(head.to_owned(), |table, row| table + row)
    }

    fn row(&mut self, what: &str, cells: &[&str; 4], met: bool) {
        let mut row = format!("| {what} |");
        for cell in cells {
            write!(row, " {cell} |").unwrap();
        }
        writeln!(row, " {} |", if met { "met" } else { "**missed**" }).unwrap();
        self.rows.push(row);
    }
}
