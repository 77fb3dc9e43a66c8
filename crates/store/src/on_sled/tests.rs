use super::*;

#[test]
fn keeps_the_rules_of_a_store() {
    let dirs = std::cell::RefCell::new(Vec::new());
    crate::conformance::all(|| {
        let dir = tempfile::tempdir().unwrap();
        let store = Sled::open(&dir.path().join("store"), Options::default()).unwrap();
        dirs.borrow_mut().push(dir);
        Box::new(store)
    });
}
