//! The limit: a server that does the minimum. One thread, epoll, and one `write` for each delivery (one for each
//! session and burst) of a frame that is encoded once. No server with a runtime and a registry can cost less.

mod client;
mod frame;
mod opening;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;

use clap::Parser as _;
use client::{Client, Read};
use keywire_bench::server::Options;
use keywire_bench::wire::{self, Command, PAUSE_EVERY, Random};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut server = Server::new(&options)?;
    let mut events = Events::with_capacity(1024);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept()?,
                Token(number) => server.serve(number),
            }
        }
    }
}

const LISTENER: Token = Token(usize::MAX);

struct Server {
    poll: Poll,
    listener: TcpListener,
    /// Clients by token. `free` lists the free slots.
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    keys: HashMap<Box<str>, usize>,
    random: Random,
    scratch: Vec<u8>,
}

impl Server {
    fn new(options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(options.listen)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            clients: Vec::new(),
            free: Vec::new(),
            keys: HashMap::new(),
            random: Random::new(RandomState::new().hash_one("limit")),
            scratch: vec![0; 64 * 1024],
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let number = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(number), interest)?;
            let _ = socket.set_nodelay(true);
            self.clients[number] = Some(Client::new(socket));
        }
    }

    fn serve(&mut self, number: usize) {
        let Some(client) = &mut self.clients[number] else { return };
        let mut commands = Vec::new();
        match client.serve(&mut self.scratch, &mut commands) {
            Ok(Read::Open) => {}
            Ok(Read::Joined(key)) => {
                self.keys.insert(key, number);
            }
            Ok(Read::Ended) | Err(_) => self.remove(number),
        }
        commands.into_iter().for_each(|command| self.obey(command));
    }

    fn remove(&mut self, number: usize) {
        if let Some(client) = self.clients[number].take() {
            if self.keys.get(client.key()) == Some(&number) {
                self.keys.remove(client.key());
            }
            self.free.push(number);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Broadcast { count, size } | Command::BroadcastMany { count, size } => {
                for first in (0..count).step_by(PAUSE_EVERY as usize) {
                    let mut burst = Vec::new();
                    for number in first..count.min(first + PAUSE_EVERY) {
                        frame::text(&mut burst, wire::broadcast(number, size).as_bytes());
                    }
                    let open = self.clients.iter_mut().flatten().filter(|client| !client.key().is_empty());
                    open.for_each(|client| client.send(&burst));
                }
            }
            Command::Push { count, size, keys } | Command::PushMany { count, size, keys } => {
                let mut out = Vec::new();
                for number in 0..count {
                    let key = format!("user{}", self.random.below(keys));
                    let to = self.keys.get(&*key).and_then(|number| self.clients[*number].as_mut());
                    if let Some(client) = to {
                        out.clear();
                        frame::text(&mut out, wire::push(number, &key, size).as_bytes());
                        client.send(&out);
                    }
                }
            }
        }
    }
}
