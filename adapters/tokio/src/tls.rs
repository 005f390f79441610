//! TLS by rustls: what to tell a server ([`Config::tls`](crate::Config::tls)) and a client
//! ([`Route::tls`](crate::Route::tls)).
//!
//! ```
//! use stillwire_tokio::{Config, Connect, Message, Server, tls};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?; // for a test: nobody has signed it
//! let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("wss://{}/", listener.local_addr()?);
//! let mut config = Config::default();
//! config.tls = Some(tls::server(certificate.as_bytes(), key.as_bytes())?);
//! let (mut server, _handle) = Server::new(listener, config);
//! let echo = async {
//!     let mut peer = server.accept().await.unwrap();
//!     while let Ok(Some(message)) = peer.recv().await { let _ = peer.send(message).await; }
//! };
//! let mut connect = Connect::new(&url);
//! connect.route.tls = Some(tls::client_trusting(certificate.as_bytes())?);
//! let client = async {
//!     let mut socket = connect.open().await?;
//!     socket.send("hello").await?;
//!     assert_eq!(socket.recv().await?, Some(Message::from("hello")));
//!     socket.close("").await?;
//!     Ok(())
//! };
//! tokio::join!(echo, client).1
//! # }
//! ```

pub use stillwire_tls::{Error, client, client_trusting, rustls, server};
