//! Why something is not kept or not found.

use thiserror::Error;

/// The store cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// SQLite refused.
    #[error("the store failed: {0}")]
    Sql(#[from] rusqlite::Error),
    /// The tables could not be brought up to date.
    #[error("the tables of the store cannot be made: {0}")]
    Tables(#[from] rusqlite_migration::Error),
    /// The file is there, and its content is not sound.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The file cannot be moved, or no thread be started.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the file itself is at fault, so that a new one helps.
    pub(super) fn is_of_the_file(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let of_sql = |error: &rusqlite::Error| {
            matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
        };
        match self {
            Self::Damaged(_) => true,
            Self::Sql(error) => of_sql(error),
            Self::Tables(rusqlite_migration::Error::RusqliteError { err, .. }) => of_sql(err),
            // tables of a later version, or made by someone else
            Self::Tables(_) => true,
            Self::System(_) | Self::Closed => false,
        }
    }
}

/// A value is not kept.
#[derive(Debug, Error)]
pub(crate) enum KeyValueError {
    /// All values of the plugin would be larger than this many bytes, keys included.
    #[error("more than the {0} bytes that are granted")]
    Quota(u64),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for KeyValueError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
