//! A scrape, read.

/// The series of one scrape in the Prometheus text format.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Takes the text of a scrape.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum of every series of `name` that has all of `labels`; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.series(name, labels).sum()
    }

    /// Whether there is a series of `name` with all of `labels`.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.series(name, labels).next().is_some()
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn series(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = f64> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let rest = series.strip_prefix(name)?;
            let fits = rest.is_empty() || rest.starts_with('{');
            let has = |(key, value): &(&str, &str)| {
                let pair = format!("{key}=\"{value}\"");
                rest.trim_matches(['{', '}']).split(',').any(|own| own == pair)
            };
            (fits && labels.iter().all(has)).then(|| value.parse().ok())?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let text = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\nab 7\na_total 9\n";
        let metrics = Metrics::new(text.to_owned());
        assert_eq!(metrics.sum("a", &[("x", "1")]), 7.0);
        assert_eq!(metrics.sum("a", &[("y", "3")]), 4.0);
        assert_eq!(metrics.sum("ab", &[]), 7.0);
        assert!(!metrics.has("a", &[("x", "2")]));
    }
}
