//! The list of subjects: a line in `each_subject!` puts a machine into every law and gives it transcripts.

pub mod http;
pub mod polling;
pub mod sse;
pub mod ws;
pub mod ws_deflate;

/// Calls `$do!` with the list: a name for tests, and the subject.
#[macro_export]
macro_rules! each_subject {
    ($do:ident) => {
        $do! {
            sse_stream: $crate::subjects::sse::Stream,
            sse_resync: $crate::subjects::sse::Resync,
            sse_source: $crate::subjects::sse::Source,
            sse_feed: $crate::subjects::sse::Feed,
            polling_connection: $crate::subjects::polling::Both,
            polling_client: $crate::subjects::polling::Opened,
            http_exchange: $crate::subjects::http::OfExchange,
            http_single: $crate::subjects::http::OfSingle,
            http_fetch: $crate::subjects::http::OfFetch,
            ws_server: $crate::subjects::ws::Server,
            ws_client: $crate::subjects::ws::Client,
            ws_pieces: $crate::subjects::ws::Pieces,
            ws_server_deflate: $crate::subjects::ws_deflate::Server,
            ws_client_deflate: $crate::subjects::ws_deflate::Client,
            ws_pieces_deflate: $crate::subjects::ws_deflate::Pieces,
        }
    };
}

macro_rules! list {
    ($($name:ident: $subject:ty),* $(,)?) => {
        $(impl $crate::Listed for $subject {})*

        /// Replays a transcript with the subject that it names.
        ///
        /// # Panics
        /// When it does not hold, or names no subject.
        pub fn replay(transcript: &$crate::transcript::Transcript) {
            match transcript.subject.as_str() {
                $(name if name == <$subject as $crate::Subject>::NAME => transcript.replay::<$subject>(),)*
                name => panic!("no subject is called {name:?}"),
            }
        }

        /// The names of all subjects.
        pub const NAMES: &[&str] = &[$(<$subject as $crate::Subject>::NAME),*];
    };
}
each_subject!(list);
