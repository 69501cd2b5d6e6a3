//! The rung of the ladder that lies in this package.

use std::path::Path;
use std::process::Command;

#[test]
fn rung_09_other_runtimes() {
    let test = std::env::current_exe().unwrap();
    let examples = test.ancestors().nth(2).unwrap().join("examples");
    let example = examples.join("09_other_runtimes");
    let example = example.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        Path::new(&example).is_file(),
        "`cargo test` of the whole package builds it"
    );
    let output = Command::new(example).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let expected = "echoed 264 bytes to 3 clients in each of 5 runtimes";
    assert_eq!(text.lines().next_back(), Some(expected));
}
