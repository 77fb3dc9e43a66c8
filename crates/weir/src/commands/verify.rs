//! `weir verify`: checks a stopped node's data. Changes nothing.

use std::path::Path;

use base::RealDisk;
use journal::guard::{self, DataLock, GuardError};

use crate::cli::Verify;
use crate::failed::Failed;
use crate::out;
