//! Connections by tokens that are never mistaken for those of connections before them.

use super::connection::Connection;

/// Connections in numbered places.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// How many connections were here before.
    generation: u32,
    connection: Option<Connection>,
}

impl Slots {
    /// Keeps a connection, and returns its token: the place, and which of its connections this is.
    pub(super) fn insert(&mut self, connection: Connection) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // Descriptors are numbered with 31 bits.
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[place as usize];
        slot.connection = Some(connection);
        u64::from(slot.generation) << 32 | u64::from(place)
    }

    /// The connection, unless it is gone.
    pub(super) fn of(&mut self, token: u64) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(place(token))?;
        let same = u64::from(slot.generation) == token >> 32;
        slot.connection.as_mut().filter(|_| same)
    }

    /// Closes a connection, unless it is gone.
    pub(super) fn close(&mut self, token: u64) {
        if self.of(token).is_none() {
            return;
        }
        let slot = &mut self.slots[place(token)];
        slot.connection = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(place(token) as u32);
    }
}

fn place(token: u64) -> usize {
    (token & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_token_does_not_reach_the_next_connection_in_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connection = |number| Connection::new(TcpStream::connect(address).unwrap(), number);
        let mut slots = Slots::default();
        let (first, second) = (slots.insert(connection(0)), slots.insert(connection(1)));
        slots.close(first);
        slots.close(first);
        let third = slots.insert(connection(2));
        assert_eq!(place(third), place(first));
        let number = |slots: &mut Slots, token| slots.of(token).map(|one| one.number);
        assert_eq!(number(&mut slots, first), None);
        assert_eq!(number(&mut slots, second), Some(1));
        assert_eq!(number(&mut slots, third), Some(2));
    }
}
