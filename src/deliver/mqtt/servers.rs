//! Several brokers that stand in for one another: which is tried next. Pure.
//!
//! The next one is tried when the one before cannot be reached. After a connection that worked it begins again with the first.

use super::address::Address;
use std::fmt::Write;

/// The brokers of one uplink, at least one.
pub(super) struct Servers {
    servers: Vec<Server>,
    next: usize,
    used: usize,
}

struct Server {
    address: Address,
    /// Why it could not be reached last.
    fault: Option<String>,
}

impl Servers {
    /// `first`, and those that stand in for it.
    pub(super) fn new(first: Address, fallback: Vec<Address>) -> Servers {
        let addresses = std::iter::once(first).chain(fallback);
        let servers = addresses.map(|address| Server {
            address,
            fault: None,
        });
        Servers {
            servers: servers.collect(),
            next: 0,
            used: 0,
        }
    }

    /// The one whose turn it is. Until [`Servers::works`] says otherwise the one after it comes next.
    pub(super) fn take(&mut self) -> Option<Address> {
        self.used = self.next;
        self.next = (self.next + 1).checked_rem(self.servers.len())?;
        let server = self.servers.get_mut(self.used)?;
        server.fault = Some("no answer in time".into());
        Some(server.address.clone())
    }

    /// The connection to it is made.
    pub(super) fn works(&mut self) {
        self.next = 0;
        for server in &mut self.servers {
            server.fault = None;
        }
    }

    /// It could not be reached. Returns the reason with that of the others, in an order that stays.
    pub(super) fn fails(&mut self, reason: &str) -> String {
        if self.servers.len() == 1 {
            return reason.to_owned();
        }
        if let Some(server) = self.servers.get_mut(self.used) {
            server.fault = Some(reason.to_owned());
        }
        let mut text = String::new();
        for server in &self.servers {
            if let Some(fault) = &server.fault {
                let between = if text.is_empty() { "" } else { "; " };
                // Writing to a string does not fail.
                let _written = write!(text, "{between}{}: {fault}", server.address);
            }
        }
        text
    }

    /// The one that is used, or was tried last.
    pub(super) fn used(&self) -> String {
        let server = self.servers.get(self.used);
        server.map_or_else(String::new, |server| server.address.to_string())
    }

    /// Whether there is a choice.
    pub(super) fn are_several(&self) -> bool {
        self.servers.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> Address {
        Address::parse(&format!("mqtt://{host}")).expect("an address")
    }

    #[test]
    fn each_is_tried_in_turn_and_after_one_that_worked_the_first_again() {
        let mut servers = Servers::new(address("a"), vec![address("b"), address("c")]);
        let mut tried = Vec::new();
        for _ in 0..4 {
            tried.push(servers.take().expect("one").host);
            servers.fails("refused");
        }
        assert_eq!(tried, ["a", "b", "c", "a"]);
        assert_eq!(servers.take().expect("one").host, "b");
        servers.works();
        assert_eq!(servers.used(), "mqtt://b:1883");
        assert_eq!(servers.take().expect("one").host, "a");
    }

    #[test]
    fn the_reason_names_each_of_several_and_stays_the_same_in_a_long_outage() {
        let mut servers = Servers::new(address("a"), vec![address("b")]);
        let mut reasons = Vec::new();
        for _ in 0..3 {
            let host = servers.take().expect("one").host;
            reasons.push(servers.fails(&format!("{host} is down")));
        }
        assert_eq!(reasons[0], "mqtt://a:1883: a is down");
        assert_eq!(
            reasons[1],
            "mqtt://a:1883: a is down; mqtt://b:1883: b is down"
        );
        assert_eq!(reasons[1], reasons[2]);
        let mut one = Servers::new(address("a"), Vec::new());
        assert_eq!(one.take().map(|one| one.host).as_deref(), Some("a"));
        assert_eq!(
            (one.fails("down").as_str(), one.are_several()),
            ("down", false)
        );
    }
}
