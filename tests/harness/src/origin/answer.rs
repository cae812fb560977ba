//! Answers, decent and other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;

use super::Airing;

/// The unit in which long bodies are made.
const CHUNK: usize = 64 * 1024;

/// How long the bytes before a cut have to leave.
const FLUSH: Duration = Duration::from_millis(50);

/// What the origin answers.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(String, String)>,
    content: Content,
    delay: Duration,
}

#[derive(Debug, Clone)]
enum Content {
    Whole(Bytes),
    /// Some bytes, then nothing, on an open connection.
    Stalled(Bytes, usize),
    /// Some bytes, then the end of the connection.
    Truncated(Bytes, usize),
    /// Zeroes, with their declared length.
    Zeroes(u64),
    /// Zeroes without end or length.
    Endless,
    /// Bytes at a rate, without a length.
    Paced(Bytes, u32, After),
    /// A channel.
    Aired(Arc<Airing>),
}

/// What follows the last byte of a paced body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The end of the body.
    End,
    /// The end of the connection, in mid-body.
    Cut,
    /// Nothing, on an open connection.
    Silence,
    /// A byte twice a second.
    Trickle,
}

impl Answer {
    /// A status without a body.
    pub fn status(code: u16) -> Self {
        Self {
            status: StatusCode::from_u16(code).unwrap(),
            headers: Vec::new(),
            content: Content::Whole(Bytes::new()),
            delay: Duration::ZERO,
        }
    }

    /// A body.
    pub fn bytes(body: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(body.into()), ..Self::status(200) }
    }

    /// A body of text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::bytes(body.into())
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    /// So many bytes, with their length declared.
    pub fn zeroes(bytes: u64) -> Self {
        Self { content: Content::Zeroes(bytes), ..Self::status(200) }
    }

    /// Bytes without end, and no word of their length.
    pub fn endless() -> Self {
        Self { content: Content::Endless, ..Self::status(200) }
    }

    /// A body of no declared length that comes at so many bytes a second, in steps of 50 ms, and what follows it.
    pub fn paced(body: impl Into<Bytes>, bytes_per_second: u32, after: After) -> Self {
        let answer =
            Self { content: Content::Paced(body.into(), bytes_per_second, after), ..Self::status(200) };
        answer.header("Content-Type", "video/mp2t")
    }

    /// What is on the air, from now on.
    pub(super) fn aired(airing: Arc<Airing>) -> Self {
        Self { content: Content::Aired(airing), ..Self::status(200) }.header("Content-Type", "video/mp2t")
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same, but the body stops after `at` bytes and the connection stays.
    #[must_use]
    pub fn stalled_at(self, at: usize) -> Self {
        let body = self.body();
        Self { content: Content::Stalled(body.slice(..at), body.len()), ..self }
    }

    /// The same, but the connection ends after `at` bytes of the body.
    #[must_use]
    pub fn truncated_at(self, at: usize) -> Self {
        let body = self.body();
        Self { content: Content::Truncated(body.slice(..at), body.len()), ..self }
    }

    fn body(&self) -> Bytes {
        match &self.content {
            Content::Whole(body) => body.clone(),
            other => panic!("{other:?} cannot be cut"),
        }
    }

    pub(super) async fn into_response(
        self,
    ) -> Response<StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        if let Some(length) = self.content.declared() {
            response = response.header("content-length", length);
        }
        response.body(StreamBody::new(self.content.frames())).unwrap()
    }
}

impl Content {
    fn declared(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Stalled(_, declared) | Self::Truncated(_, declared) => Some(*declared as u64),
            Self::Zeroes(bytes) => Some(*bytes),
            Self::Endless | Self::Paced(..) | Self::Aired(_) => None,
        }
    }

    fn frames(self) -> BoxStream<'static, io::Result<Frame<Bytes>>> {
        let zeroes = Bytes::from_static(&[0; CHUNK]);
        let frame = |bytes: Bytes| Ok(Frame::data(bytes));
        match self {
            Self::Whole(bytes) => stream::iter([frame(bytes)]).boxed(),
            Self::Stalled(bytes, _) => stream::iter([frame(bytes)]).chain(stream::pending()).boxed(),
            Self::Truncated(bytes, _) => {
                let cut = async {
                    tokio::time::sleep(FLUSH).await;
                    Err(io::Error::other("as the test asks"))
                };
                stream::iter([frame(bytes)]).chain(stream::once(cut)).boxed()
            }
            Self::Zeroes(total) => stream::unfold(total, move |left| {
                let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                let chunk = zeroes.slice(..size);
                async move { (size > 0).then(|| (frame(chunk), left - size as u64)) }
            })
            .boxed(),
            Self::Endless => stream::repeat_with(move || frame(zeroes.clone())).boxed(),
            Self::Paced(bytes, rate, after) => paced(&bytes, rate).chain(followed(after)).boxed(),
            Self::Aired(airing) => airing.frames(),
        }
    }
}

fn paced(bytes: &Bytes, bytes_per_second: u32) -> impl Stream<Item = io::Result<Frame<Bytes>>> + use<> {
    const STEPS: usize = 20;
    let step = usize::try_from(bytes_per_second).unwrap() / STEPS;
    let steps: Vec<Bytes> = bytes.chunks(step).map(|chunk| bytes.slice_ref(chunk)).collect();
    let began = tokio::time::Instant::now();
    stream::iter(steps.into_iter().zip(0_u32..)).then(move |(chunk, at)| async move {
        tokio::time::sleep_until(began + Duration::from_secs(1) / 20 * at).await;
        Ok(Frame::data(chunk))
    })
}

fn followed(after: After) -> BoxStream<'static, io::Result<Frame<Bytes>>> {
    match after {
        After::End => stream::empty().boxed(),
        After::Cut => stream::once(async { Err(io::Error::other("as the test asks")) }).boxed(),
        After::Silence => stream::pending().boxed(),
        After::Trickle => stream::repeat_with(|| Frame::data(Bytes::from_static(&[0x47])))
            .then(|byte| async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(byte)
            })
            .boxed(),
    }
}
