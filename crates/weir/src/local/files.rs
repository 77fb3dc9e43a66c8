//! The files of a local cluster: `cluster.toml` and `node-N.toml` in one directory, all on loopback.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use server::config::{Config, SHARDS_DEFAULT};

use crate::failed::Failed;

/// Ports of one node, from its first on.
const PORTS_OF_NODE: u16 = 10;
/// The last offset that is used.
const OFFSET_MAX: u16 = 4;

/// Which nodes, where, and what they are told beyond the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) nodes: u16,
    pub(crate) base_port: u16,
    /// More lines for every node's file.
    pub(crate) extra: String,
}

impl Plan {
    /// The first port of node `id` (from 1 on).
    fn first_port(&self, id: u16) -> u16 {
        self.base_port + PORTS_OF_NODE * (id - 1)
    }

    /// Every port, of every node.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        let firsts: Vec<u16> = (1..=self.nodes).map(|id| self.first_port(id)).collect();
        firsts.into_iter().flat_map(|first| first..=first + OFFSET_MAX)
    }

    /// Whether all ports are ports.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        let last = u32::from(self.base_port)
            + u32::from(PORTS_OF_NODE) * u32::from(self.nodes - 1)
            + u32::from(OFFSET_MAX);
        match (self.base_port, u16::try_from(last)) {
            (1.., Ok(_)) => Ok(()),
            _ => {
                let most = u32::from(u16::MAX) - (last - u32::from(self.base_port));
                Err(Failed::wrong(format!("--base-port: must be from 1 to {most}")))
            }
        }
    }
}

/// Writes the files into `dir`, which is made where it is missing.
pub(crate) fn write(dir: &Path, plan: &Plan) -> Result<(), Failed> {
    let cannot = |path: &Path, error: std::io::Error| {
        Failed::machine(format!("{}: cannot be written: {error}", path.display()))
    };
    std::fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
    for id in 1..=plan.nodes {
        let path = node_file(dir, id);
        std::fs::write(&path, node_text(plan, id)).map_err(|error| cannot(&path, error))?;
    }
    // Last: where it is, the others are.
    let path = dir.join("cluster.toml");
    std::fs::write(&path, cluster_text(plan)).map_err(|error| cannot(&path, error))
}

/// The file of a node.
pub(crate) fn node_file(dir: &Path, id: u16) -> PathBuf {
    dir.join(format!("node-{id}.toml"))
}

/// The nodes whose files are in `dir`, by their file; empty where there is no cluster.
pub(crate) fn read(dir: &Path) -> Result<Vec<(PathBuf, Config)>, Failed> {
    if !dir.join("cluster.toml").exists() {
        return Ok(Vec::new());
    }
    let mut nodes = Vec::new();
    for id in 1..=u16::MAX {
        let path = node_file(dir, id);
        if !path.exists() {
            break;
        }
        let config = Config::load(&path, &[]).map_err(|error| Failed::wrong(error.to_string()))?;
        nodes.push((path, config));
    }
    Ok(nodes)
}

fn cluster_text(plan: &Plan) -> String {
    let mut text = format!(
        "# The same for every node. Written by `weir dev`; yours to change before the first start.\n\
         [cluster]\nname = \"local\"\nshards = {SHARDS_DEFAULT}   # fixed once the cluster is made\n",
    );
    for id in 1..=plan.nodes {
        let port = plan.first_port(id);
        let _ = write!(
            text,
            "\n[[node]]\nid = {id}\npeer = \"127.0.0.1:{}\"\nresp = \"127.0.0.1:{port}\"\n\
             resp_cluster = \"127.0.0.1:{}\"\ngrpc = \"127.0.0.1:{}\"\n",
            port + 3,
            port + 1,
            port + 2,
        );
    }
    text
}

fn node_text(plan: &Plan, id: u16) -> String {
    let port = plan.first_port(id);
    format!(
        "# Node {id}. Start it alone with: weir server --config node-{id}.toml\n\
         [node]\nid = {id}\ncluster = \"cluster.toml\"\ndata_dir = \"node-{id}\"\n\n\
         [listen]\nresp = \"127.0.0.1:{port}\"\nresp_cluster = \"127.0.0.1:{}\"\n\
         grpc = \"127.0.0.1:{}\"\npeer = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n{}",
        port + 1,
        port + 2,
        port + 3,
        port + 4,
        plan.extra,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(nodes: u16, base_port: u16) -> Plan {
        Plan { nodes, base_port, extra: String::new() }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_empty());
        write(dir.path(), &plan(3, 6379)).unwrap();
        let nodes = read(dir.path()).unwrap();
        assert_eq!(nodes.len(), 3);
        let (path, third) = &nodes[2];
        assert!(path.ends_with("node-3.toml"));
        assert_eq!(third.node.listen.resp.port(), 6399);
        assert_eq!(third.node.listen.http.port(), 6403);
        assert_eq!(third.cluster.members.len(), 3);
        assert_eq!(third.advertised().grpc, "127.0.0.1:6401");
    }

    #[test]
    fn a_node_has_five_ports_of_its_ten() {
        let ports: Vec<u16> = plan(2, 7000).ports().collect();
        assert_eq!(ports, [7000, 7001, 7002, 7003, 7004, 7010, 7011, 7012, 7013, 7014]);
    }

    #[test]
    fn ports_above_the_last_are_refused() {
        plan(3, 65511).check().unwrap();
        let error = plan(3, 65512).check().unwrap_err();
        assert_eq!(error.to_string(), "--base-port: must be from 1 to 65511");
        plan(1, 0).check().unwrap_err();
    }
}
