//! Documents of any text, and any variables above them: a configuration, or an error of one line that
//! names the file. Nothing panics. Never the files themselves, nor a password's.

use ::fuzz::{Random, Target};

use super::*;

/// Between a document and each variable, and within a variable.
const BETWEEN: char = '\u{1}';
/// Place and text are of 1,024 characters each, at most.
const ERROR_BYTES_MAX: usize = 4 * 2048 + 2;

/// Whether it is a configuration: of a node where the text begins so, else of a cluster.
fn takes(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split(BETWEEN);
    let text = parts.next().unwrap_or_default();
    let variables: Vec<(String, String)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let path = Path::new("x/file.toml");
    let taken = match text.strip_prefix("#cluster\n") {
        Some(text) => Cluster::parse(path, text, &variables).map(|cluster| {
            cluster.checksum();
            assert!(cluster.election.0 < cluster.election.1);
        }),
        None => node(path, text, &variables),
    };
    match taken.and_then(|()| check_environment(&variables)) {
        Ok(()) => true,
        Err(error) => {
            let error = error.to_string();
            let bytes = error.len();
            assert!(!error.contains('\n'), "more than a line: {error}");
            assert!(bytes <= ERROR_BYTES_MAX, "{bytes} bytes of error");
            false
        }
    }
}

fn node(path: &Path, text: &str, variables: &Environment) -> Result<(), ConfigError> {
    let document = Document::parse(path, text, NODE_SECTIONS, variables)?;
    let own = document.section("node", NODE_KEYS)?;
    Node::read(&document, &own, Path::new("x")).map(|node| assert!(node.limits.memory > 0))
}

fn corpus() -> Vec<Vec<u8>> {
    const DOCUMENTS: [&str; 5] = [
        "#cluster\n[cluster]\nname = \"local\"\nshards = 8\n[raft]\nheartbeat_ms = 200\n\
         election_ms = [800, 1600]\n[[node]]\nid = 1\npeer = \"127.0.0.1:6382\"\n\
         resp = \"127.0.0.1:6379\"\nresp_cluster = \"127.0.0.1:6380\"\ngrpc = \"127.0.0.1:6381\"\n",
        "#cluster\n[cluster]\nname = 'n'\n[[node]]\nid=1\npeer='n:1'\nresp='n:2'\nresp_cluster='n:3'\ngrpc='n:4'\n\u{1}WEIR_RAFT__ELECTION_MS=[300, 900]",
        "[node]\nid = 1\ncluster = \"cluster.toml\"\ndata_dir = \"node-1\"\n",
        "[node]\nid = 2\ndata_dir = \"/d\"\n[listen]\nresp = \"127.0.0.1:1\"\n[limits]\n\
         memory = \"512MiB\"\nentry_bytes_max = 65536\n[read]\nreads = \"lease\"\n\
         [journal]\nsegment_bytes = \"64MiB\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n\
         [security]\ninsecure = true\n",
        "node = { id = 3, data_dir = \"\"\"d\"\"\" }\n\u{1}WEIR_LIMITS__MEMORY=1GiB\u{1}WEIR_LISTEN__RESP=[::1]:7",
    ];
    DOCUMENTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A document with something of TOML's put into it.
fn make(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        "#",
        ".",
        ",",
        "-",
        "1e9",
        "nan",
        "1979-05-27T07:32:00Z",
        "0x",
        "true",
        "\\u0000",
        "\u{1}WEIR_",
        "[node]\n",
        "id = 1\n",
        "GiB",
        "[limits]\n",
        "18446744073709551615",
        "-9223372036854775808",
        "\u{e9}",
    ];
    let mut input = random.pick(corpus).clone();
    for _ in 0..random.below(4) {
        let at = random.below(input.len() + 1);
        let piece = match random.below(20) {
            0 => random.pick(&["[", "{a=", "[[", "a."]).repeat(1 + random.below(3_000)),
            1..4 => random.number(),
            _ => (*random.pick(PIECES)).to_owned(),
        };
        input.splice(at..at, piece.into_bytes());
    }
    input
}

#[test]
fn fuzz_config() {
    let corpus = corpus();
    for (at, input) in corpus.iter().enumerate() {
        assert!(takes(input), "document {at} of the corpus");
    }
    let make = |random: &mut Random| make(random, &corpus);
    let corpus = corpus.clone();
    let target = Target { name: "config", inputs_count: 100_000, corpus, make: &make };
    target.run(|| {
        |input: &[u8]| {
            takes(input);
        }
    });
}
