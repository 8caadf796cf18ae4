//! The guards in docs/state-machine.md are the table's. `AMP_BLESS=1` (`make bless`) writes them anew.
#![allow(clippy::unwrap_used)]

use amp_guards::page::{PAGE, render, rewritten};
use amp_guards::sources::Sources;
use amp_guards::{table, workspace};

#[test]
fn the_page_shows_the_table() {
    let workspace = workspace();
    let table = table::load(&workspace).unwrap();
    let rendered = render(&workspace, &Sources::read(&workspace).unwrap(), &table).unwrap();
    let path = workspace.join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let fresh = rewritten(&page, &rendered).unwrap();
    if std::env::var_os("AMP_BLESS").is_some() {
        std::fs::write(&path, fresh).unwrap();
        return;
    }
    assert!(page == fresh, "{PAGE} is not what tests/guards/table says: `make bless`");
}
