//! Writes COMMANDS.md: `cargo run -p server --example commands_md -- COMMANDS.md`. Never reads it.

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "COMMANDS.md".to_owned());
    std::fs::write(path, server::resp::manual())
}
