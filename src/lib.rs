//! A live wire to every logged-in user of a web backend.

mod websocket;

pub use websocket::CloseCode;
