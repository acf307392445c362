//! Migrations and templates become part of the binary: a change in them is a reason to build again.

fn main() {
    for directory in ["migrations", "templates", "static"] {
        println!("cargo::rerun-if-changed={directory}");
    }
}
