//! One case: what a client writes, what must come back, and how the connection ends.

use keywire::Config;

use crate::support::{CLOSE, Head, Raw, Server, frame, opening};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;

/// Cases that belong together, and how many they are, so that none gets lost.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) count: usize,
    pub(crate) config: Config,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    offer: Option<(&'static str, Option<&'static str>)>,
    /// Each is written for itself.
    writes: Vec<Vec<u8>>,
    /// Opcode and content, inflated.
    answers: Vec<(u8, Vec<u8>)>,
    end: End,
}

#[derive(Clone)]
enum End {
    /// The client closes with 1000, and gets that back.
    Clean,
    /// The client has closed; this comes back.
    Answered(Vec<u8>),
    /// The server closes with this code, though more might come.
    Refused(u16),
}

/// A client's frame; `first` is the whole first byte.
pub(crate) fn frame_of(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(0, payload, Some([0x9a, 0x00, 0xff, 0x41]));
    bytes[0] = first;
    bytes
}

impl Case {
    /// Some frames, each written for itself. Nothing is answered, and the connection stays.
    pub(crate) fn new(name: impl Into<String>, frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let writes = frames.into_iter().collect();
        Self { name: name.into(), offer: None, writes, answers: Vec::new(), end: End::Clean }
    }

    pub(crate) fn answered(mut self, opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        self.answers.push((opcode, payload.as_ref().to_vec()));
        self
    }

    /// Ends with the server's close frame.
    pub(crate) fn refused(mut self, code: u16) -> Self {
        self.end = End::Refused(code);
        self
    }

    /// Ends with the answer to the client's close frame.
    pub(crate) fn closed(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.end = End::Answered(payload.as_ref().to_vec());
        self
    }

    /// The client offers these extensions and is granted those.
    #[cfg(feature = "deflate")]
    pub(crate) fn offering(mut self, offer: &'static str, granted: Option<&'static str>) -> Self {
        self.offer = Some((offer, granted));
        self
    }

    /// The same case in one write, frame by frame, and in chops.
    pub(crate) fn in_all_cuts(self) -> [Self; 3] {
        let all = self.writes.concat();
        let chop = if all.len() <= 2048 { 1 } else { 997 };
        let cut = |how: &str, writes| Self {
            name: format!("{}, {how}", self.name),
            offer: self.offer,
            writes,
            answers: self.answers.clone(),
            end: self.end.clone(),
        };
        [
            cut("in one write", vec![all.clone()]),
            cut("frame by frame", self.writes.clone()),
            cut(&format!("in chops of {chop}"), all.chunks(chop).map(<[u8]>::to_vec).collect()),
        ]
    }

    /// Runs it over a connection of its own. What is wrong panics.
    pub(crate) async fn run(&self, server: &Server) {
        let name = &self.name;
        let mut raw = server.raw().await;
        let offers: Vec<_> =
            self.offer.iter().map(|(offer, _)| ("sec-websocket-extensions", *offer)).collect();
        raw.write(opening("/websocket", &offers).as_bytes()).await;
        let head = raw.head().await;
        assert_eq!(head.status, 101, "{name}");
        assert_eq!(granted(&head), self.offer.and_then(|(_, granted)| granted), "{name}");

        for bytes in &self.writes {
            raw.write(bytes).await;
        }
        for expected in &self.answers {
            let answer = answer(&mut raw, name).await;
            assert!(answer == *expected, "{name}: {}, not {}", shown(&answer), shown(expected));
        }
        let close = match &self.end {
            End::Clean => {
                raw.write(&frame_of(FIN | CLOSE, b"\x03\xe8")).await;
                b"\x03\xe8"
            }
            End::Answered(payload) => &payload[..],
            End::Refused(code) => &code.to_be_bytes()[..],
        };
        let (opcode, payload) = answer(&mut raw, name).await;
        assert_eq!(opcode, CLOSE, "{name}: {}", shown(&(opcode, payload)));
        match self.end {
            // And why, in words.
            End::Refused(_) => {
                assert!(payload.starts_with(close) && payload.len() > 2, "{name}: {payload:?}")
            }
            End::Clean | End::Answered(_) => assert_eq!(payload, close, "{name}"),
        }
        // In order and not by a reset, though the client goes on to hold its own end open.
        assert!(raw.any_frame().await.is_none(), "{name}: something follows the close frame");
    }
}

fn granted(head: &Head) -> Option<&str> {
    head.header("sec-websocket-extensions")
}

async fn answer(raw: &mut Raw, name: &str) -> (u8, Vec<u8>) {
    let Some((bits, frame)) = raw.any_frame().await else { panic!("{name}: the end and no close frame") };
    let payload = match bits {
        0x80 => frame.payload,
        #[cfg(feature = "deflate")]
        0xc0 if frame.opcode < CLOSE => crate::deflate::inflated(&frame.payload),
        bits => panic!("{name}: a frame with the bits {bits:#x}"),
    };
    (frame.opcode, payload)
}

fn shown((opcode, payload): &(u8, Vec<u8>)) -> String {
    let start = &payload[..payload.len().min(40)];
    format!("opcode {opcode} with {} bytes {:?}", payload.len(), String::from_utf8_lossy(start))
}
