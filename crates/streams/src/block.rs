//! Blocks: the unit in which entries are stored, cached, trimmed with `~` and counted by XINFO.
