//! Every vector of Server-Sent Events, in every way that there is.

use stillwire_tests::vectors::replay;

fn holds(file: &str, least: usize) {
    let tally = replay(file).unwrap();
    println!("{} runs", tally.passed);
    assert!(tally.failed.is_empty(), "{} runs failed: {:#?}", tally.failed.len(), tally.failed);
    assert!(tally.passed >= least, "only {} runs", tally.passed);
}

#[test]
fn bodies_in_every_chunking() {
    holds(include_str!("../vectors/sse.json"), 4240);
}

#[test]
fn clients_over_several_connections() {
    holds(include_str!("../vectors/sse-client.json"), 300);
}

/// The runner notices when something is wrong.
#[test]
fn a_wrong_vector_fails() {
    let bodies =
        include_str!("../vectors/sse.json").replacen("\"lastEventId\":\"\"", "\"lastEventId\":\"x\"", 1);
    let bodies = bodies.replacen("\"lastEventId\": \"\"", "\"lastEventId\": \"x\"", 1);
    assert!(!replay(&bodies).unwrap().failed.is_empty());
    let clients = include_str!("../vectors/sse-client.json").replacen("\"opens\": 1", "\"opens\": 2", 1);
    assert!(!replay(&clients).unwrap().failed.is_empty());
    assert!(replay("{}").is_err() && replay("").is_err());
}
