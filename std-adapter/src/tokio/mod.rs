//! The same connections for tasks of a tokio 1.x runtime: the words of the crate's root, with `.await` where it says
//! "blocks".
//!
//! Every future here may be dropped at any time: a `recv` that was not completed has taken no message, a `send` that was
//! not completed has sent none. All must be made and polled within a runtime that has I/O and time enabled.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ackline_std::tokio::{Endpoint, connect};
//! use ackline_std::{Channel, Config};
//!
//! let server = Endpoint::bind("127.0.0.1:0", &Config::udp())?;
//! let client = connect(server.local_addr(), &Config::udp())?;
//! client.send(Channel(0), b"hello").await?;
//! let connection = server.accept().await;
//! assert_eq!(connection.recv().await?.payload, b"hello");
//! # Ok(())
//! # }
//! ```

mod connection;
mod endpoint;
pub mod stream;

pub use connection::{Connection, Events};
pub use endpoint::{Endpoint, connect};
