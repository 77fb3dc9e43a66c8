//! A network namespace for each node, joined by a bridge, in which packets of one direction can be
//! dropped. Needs root; everything goes with the value.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{is_root, run};

/// Of a subnet: nodes from 1 on, gates of proxies from here on, the bridge at the end.
const GATES: usize = 100;
const BRIDGE: usize = 254;

/// Subnets are looked for from the first to the last, 10.217.N.0/24.
const SUBNETS: std::ops::Range<u8> = 1..250;

/// The namespaces of one cluster.
pub struct Namespaces {
    name: String,
    subnet: u8,
    nodes: usize,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Namespaces {
    /// Namespaces with an address each, reachable from here and from each other.
    ///
    /// # Errors
    /// Why the machine doesn't allow it.
    pub fn make(nodes: usize) -> Result<Self, String> {
        if !is_root() {
            return Err("network namespaces need root".into());
        }
        run("iptables", &["--version"])?;
        // Names of interfaces have 15 letters at most.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("wr{}{}", std::process::id(), char::from(b'a' + (number % 26) as u8));
        let used = run("ip", &["-o", "-4", "addr"])?;
        let free = |subnet: &u8| !used.contains(&format!("10.217.{subnet}."));
        let subnet = SUBNETS.into_iter().find(free).ok_or("no free subnet")?;
        let made = Self { name, subnet, nodes };
        made.bridge()?;
        (0..nodes).try_for_each(|index| made.add(index))?;
        Ok(made)
    }

    /// A node's own address.
    pub fn host(&self, index: usize) -> String {
        self.address(index + 1)
    }

    /// An address on this side, for a proxy in front of a node.
    pub fn gate(&self, index: usize) -> String {
        self.address(GATES + index + 1)
    }

    /// What starts a program in a node's namespace. Not `ip netns exec`: that gives it a copy of all
    /// mounts, so that a disk could never be unmounted.
    pub fn before(&self, index: usize) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", self.namespace(index))]
    }

    /// Drops every packet from one node to another. `gated`: they meet at the gate of the lower
    /// one, which the higher one dials. Dropped where the higher one sits.
    ///
    /// # Errors
    /// A rule was not taken.
    pub fn block(&self, from: usize, to: usize, gated: bool) -> Result<(), String> {
        let (low, high) = (from.min(to), from.max(to));
        let other = if gated { self.gate(low) } else { self.host(low) };
        let rule = if from == high { ["OUTPUT", "-d"] } else { ["INPUT", "-s"] };
        let args = ["iptables", "-w", "-A", rule[0], rule[1], &other, "-j", "DROP"];
        self.inside(high, &args)
    }

    /// Lets everything through again.
    ///
    /// # Errors
    /// Rules could not be removed.
    pub fn heal(&self) -> Result<(), String> {
        (0..self.nodes).try_for_each(|index| self.inside(index, &["iptables", "-w", "-F"]))
    }

    fn inside(&self, index: usize, words: &[&str]) -> Result<(), String> {
        let namespace = self.namespace(index);
        run("ip", &[&["netns", "exec", &namespace], words].concat()).map(drop)
    }

    fn address(&self, last: usize) -> String {
        format!("10.217.{}.{last}", self.subnet)
    }

    fn namespace(&self, index: usize) -> String {
        format!("{}-{}", self.name, index + 1)
    }

    fn bridge(&self) -> Result<(), String> {
        let name = &self.name;
        run("ip", &["link", "add", name, "type", "bridge"])?;
        let gates = (0..self.nodes).map(|index| self.gate(index));
        for address in [self.address(BRIDGE)].into_iter().chain(gates) {
            run("ip", &["addr", "add", &format!("{address}/24"), "dev", name])?;
        }
        run("ip", &["link", "set", name, "up"]).map(drop)
    }

    fn add(&self, index: usize) -> Result<(), String> {
        let (namespace, host) = (self.namespace(index), self.host(index));
        run("ip", &["netns", "add", &namespace])?;
        let (near, far) = (&namespace, ["name", "eth0", "netns", &namespace]);
        run("ip", &[&["link", "add", near, "type", "veth", "peer"], &far[..]].concat())?;
        run("ip", &["link", "set", near, "master", &self.name, "up"])?;
        run("ip", &["-n", &namespace, "addr", "add", &format!("{host}/24"), "dev", "eth0"])?;
        run("ip", &["-n", &namespace, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", &namespace, "link", "set", "lo", "up"]).map(drop)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for index in 0..self.nodes {
            drop(run("ip", &["netns", "del", &self.namespace(index)]));
            // The near end goes with the namespace, but only a little later.
            drop(run("ip", &["link", "del", &self.namespace(index)]));
        }
        drop(run("ip", &["link", "del", &self.name]));
    }
}
