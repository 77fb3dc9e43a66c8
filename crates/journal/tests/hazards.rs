//! Each hazard of a journal by its name, on a simulated disk.
#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of test functions")]

#[path = "hazards/damage.rs"]
mod damage;
#[path = "hazards/failing.rs"]
mod failing;
#[path = "hazards/guard.rs"]
mod guard;
#[path = "hazards/model.rs"]
mod model;
#[path = "hazards/order.rs"]
mod order;
#[path = "hazards/recycling.rs"]
mod recycling;
#[path = "hazards/rig.rs"]
mod rig;
#[path = "hazards/torn.rs"]
mod torn;
