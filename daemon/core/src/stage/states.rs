//! What layers know, such as what a cache keeps: it outlives a change of the layers around it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// States of layers, by name. A state lives as long as someone uses it: a stack that asks before the one that it
/// replaces is gone gets the same.
#[derive(Default)]
pub struct States {
    known: Mutex<HashMap<String, Weak<dyn Any + Send + Sync>>>,
}

impl States {
    /// The state of this name and type that is in use, else the one that `make` gives.
    pub(super) fn get<T: Send + Sync + 'static>(&self, name: String, make: impl FnOnce() -> T) -> Arc<T> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let used = known.get(&name).and_then(Weak::upgrade).and_then(|state| state.downcast().ok());
        if let Some(used) = used {
            return used;
        }
        known.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(make());
        let forgettable: Weak<T> = Arc::downgrade(&state);
        known.insert(name, forgettable);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lives_as_long_as_someone_uses_it() {
        let states = States::default();
        let first = states.get("a".into(), || 1);
        assert!(Arc::ptr_eq(&first, &states.get("a".into(), || 2)));
        assert_eq!(*states.get("b".into(), || 3), 3);
        drop(first);
        assert_eq!(*states.get("a".into(), || 4), 4);
    }

    #[test]
    fn the_names_of_states_that_are_gone_go_too() {
        let states = States::default();
        (0..10).for_each(|at| drop(states.get(at.to_string(), || at)));
        assert_eq!(states.known.lock().unwrap().len(), 1);
    }
}
