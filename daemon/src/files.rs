//! The files of a configuration, and what their secrets come from.

use std::io::{self, Read};
use std::path::Path;

use sluice_core::conf::Lookup;

/// Reads every `*.kdl` of a directory in the order of names, save hidden ones. Links are followed. A file that is
/// no UTF-8 is read with replacement characters, so that its problem has a place.
///
/// # Errors
/// When the directory or a file in it cannot be read.
pub(crate) fn read_dir(dir: &Path) -> io::Result<Vec<(String, String)>> {
    let named =
        |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| named(dir, error))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let wanted = name.ends_with(".kdl") && !name.starts_with('.');
        if !wanted || !path.is_file() {
            continue;
        }
        match std::fs::read(&path) {
            Ok(bytes) => files.push((name.to_owned(), String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // gone since the listing
            Err(error) => return Err(named(&path, error)),
        }
    }
    files.sort();
    Ok(files)
}

/// Secrets from the environment and from files, as a running daemon reads them.
pub(crate) struct SystemLookup;

/// A secret is a line, not a film.
const LARGEST_SECRET_BYTES: u64 = 64 << 10;

impl Lookup for SystemLookup {
    fn env(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => "it is not set".to_owned(),
            std::env::VarError::NotUnicode(_) => "it is no UTF-8".to_owned(),
        })
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let words = |error: io::Error| error.to_string();
        // a pipe or a device could keep the reader waiting for ever
        if !std::fs::metadata(path).map_err(words)?.is_file() {
            return Err("it is no file".to_owned());
        }
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(words)?;
        file.take(LARGEST_SECRET_BYTES + 1).read_to_string(&mut text).map_err(words)?;
        if text.len() as u64 > LARGEST_SECRET_BYTES {
            return Err(format!("it is larger than {LARGEST_SECRET_BYTES} bytes, which no secret is"));
        }
        Ok(text
            .strip_suffix('\n')
            .map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line))
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::stat::Mode;

    use super::*;

    #[tokio::test]
    async fn a_secret_file_that_is_a_pipe_is_refused_and_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("secret");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let reading = tokio::task::spawn_blocking(move || SystemLookup.file(pipe.to_str().unwrap()));
        let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
        assert_eq!(read.unwrap().unwrap(), Err("it is no file".to_owned()));
    }

    #[test]
    fn a_secret_is_its_file_without_one_line_end_and_never_a_film() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            SystemLookup.file(path.to_str().unwrap())
        };
        for (content, secret) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a", " a"), ("", "")] {
            assert_eq!(read(content.as_bytes()).as_deref(), Ok(secret), "{content:?}");
        }
        assert!(read(&vec![b'a'; 64 << 10]).is_ok());
        assert!(read(&vec![b'a'; (64 << 10) + 1]).unwrap_err().contains("larger than 65536 bytes"));
        assert!(read(b"\xff").is_err());
    }
}
