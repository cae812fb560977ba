//! What a plugin may ask of the daemon.

use std::fmt;

/// A kind of action, as `actions` of a plugin's node grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// The pipeline switches to another source of its chain.
    SwitchSource,
    /// The source that feeds the pipeline is started anew beside itself.
    RestartSource,
}

/// Every kind by its name.
pub const ACTIONS: &[(&str, ActionKind)] =
    &[("switch-source", ActionKind::SwitchSource), ("restart-source", ActionKind::RestartSource)];

impl ActionKind {
    /// The name in KDL and in the contract of plugins.
    pub fn word(self) -> &'static str {
        match self {
            Self::SwitchSource => "switch-source",
            Self::RestartSource => "restart-source",
        }
    }
}

/// What a plugin asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The pipeline switches to the source at this place in its chain, from 1; none for the next one that may work.
    SwitchSource(Option<usize>),
    /// The source that feeds the pipeline is started anew beside itself.
    RestartSource,
}

impl Action {
    /// Reads an action as a plugin writes it.
    ///
    /// # Errors
    /// In words, when there is no such action or its argument does not fit.
    pub fn read(name: &str, argument: Option<&str>) -> Result<Self, String> {
        let kind = ACTIONS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        match (kind, argument) {
            (Some(ActionKind::SwitchSource), None) => Ok(Self::SwitchSource(None)),
            (Some(ActionKind::SwitchSource), Some(place)) => match place.parse() {
                Ok(place) if place > 0 => Ok(Self::SwitchSource(Some(place))),
                _ => Err("the argument of switch-source is the place of a source, from 1".to_owned()),
            },
            (Some(ActionKind::RestartSource), None) => Ok(Self::RestartSource),
            (Some(ActionKind::RestartSource), Some(_)) => Err("restart-source takes no argument".to_owned()),
            (None, _) => Err("there is no such action".to_owned()),
        }
    }

    /// Its kind.
    pub fn kind(self) -> ActionKind {
        match self {
            Self::SwitchSource(_) => ActionKind::SwitchSource,
            Self::RestartSource => ActionKind::RestartSource,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchSource(Some(place)) => write!(f, "{} {place}", self.kind().word()),
            _ => f.write_str(self.kind().word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_reads_as_it_shows_and_others_are_refused() {
        assert_eq!(Action::read("switch-source", None), Ok(Action::SwitchSource(None)));
        assert_eq!(Action::read("switch-source", Some("2")), Ok(Action::SwitchSource(Some(2))));
        assert_eq!(Action::read("restart-source", None), Ok(Action::RestartSource));
        for (name, argument) in [
            ("switch-source", Some("0")),
            ("switch-source", Some("x")),
            ("restart-source", Some("1")),
            ("stop", None),
        ] {
            assert!(Action::read(name, argument).is_err(), "{name} {argument:?}");
        }
        assert_eq!(Action::SwitchSource(Some(2)).to_string(), "switch-source 2");
        assert!(ACTIONS.iter().all(|(word, kind)| kind.word() == *word));
    }
}
