//! Bodies that nobody should send, and the work that is done for each byte.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use stillwire::{
    Inbox, Machine, Outbox,
    polling::{Config, Connection, Error, Served, Session, What},
};

use super::{START, client::Bench, read, session, sid};

/// Bytes that are moved inside a pipe are paid for by bytes that went through it, though the owner keeps the pipe full.
#[test]
fn the_law_of_work() {
    let mut config = Config::default();
    (config.max_bytes, config.max_messages) = (4096, 16);
    for length in [0, 50, 250, 1000, 3000] {
        for lent in [false, true] {
            let (mut up, mut down) = (vec![0; 8300], vec![0; 8300]);
            let mut session = match lent {
                true => Session::over(sid(), &config, Inbox::new(&mut up), Inbox::new(&mut down), START),
                false => session(&config),
            };
            let record = format!("\"{}\",\n", "x".repeat(length));
            let mut rest = record.as_bytes();
            let mut acked = 0;
            for _ in 0..2000 {
                loop {
                    let n = session.write(rest);
                    rest = &rest[n..];
                    if n == 0 {
                        break;
                    }
                    if rest.is_empty() {
                        rest = record.as_bytes();
                    }
                }
                let seat = session.sit(acked, START).expect("a seat");
                match session.serve(seat, START) {
                    Served::Batch(batch) => acked += batch.count(),
                    other => panic!("{other:?}"),
                }
                session.done(seat, START);
            }
            let work = session.desk().work();
            assert!(work.received > 2000 * 64);
            assert!(work.moved <= 4 * work.received, "{length}, {lent}: {work:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is posted, the session takes all or nothing, and its owner never sees a record that is none.
    #[test]
    fn hostile_bodies(bodies in vec(hostile("seq"), 1..20)) {
        let mut session = session(&Config::TINY);
        let mut owner = session.connection();
        let (mut inbox, mut outbox) = (Inbox::with_limit(2000), Outbox::with_limit(1000));
        for body in bodies {
            let _ = session.post(&body);
            inbox.push(read(&mut session).as_bytes());
            while let Some(event) = next(&mut owner, &mut inbox, &mut outbox)? {
                if event.starts_with("Closed") { return Ok(()) }
            }
        }
    }

    /// Whatever a server answers, the client survives it, and ends at most once.
    #[test]
    fn hostile_answers(answers in vec((0..4_u8, prop_oneof![4 => Just(200), 1 => 100..600_u16], hostile("last")), 1..20)) {
        let mut bench = Bench::open();
        let mut ended = false;
        for (what, status, body) in answers {
            if bench.client.is_open() {
                let _ = bench.client.send_text("x", &mut bench.outbox);
            }
            bench.asks();
            let what = [What::Open, What::Receive, What::Send, What::Close][usize::from(what)];
            bench.client.answered(what, status, &body, &mut bench.inbox, &mut bench.outbox, bench.now);
            loop {
                match bench.next() {
                    Ok(Some(_)) => prop_assert!(!ended),
                    Ok(None) => break,
                    // A lone bad record, or a bad answer: said once.
                    Err(_) => prop_assert!(!core::mem::replace(&mut ended, true)),
                }
            }
            bench.now = bench.now + Duration::from_secs(20);
        }
    }
}

fn next(
    machine: &mut Connection,
    inbox: &mut Inbox<'_>,
    outbox: &mut Outbox<'_>,
) -> Result<Option<String>, TestCaseError> {
    match machine.next(START, inbox, outbox) {
        Ok(event) => Ok(event.map(|event| format!("{event:?}"))),
        // The inside of a base64 string is the owner's to check.
        Err(Error::NotBase64) => Ok(Some("Closed by us".to_owned())),
        Err(error) => {
            Err(TestCaseError::fail(format!("the session let through what it should not: {error}")))
        }
    }
}

fn hostile(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        4 => "\"(\\\\u[0-9a-f]{4}|[a-z]|\\\\n){0,12}\"",
        2 => "\\{ ?\"b64\" ?: ?\"([A-Za-z0-9+/]{4}){0,4}\" ?\\}",
        1 => "[\\[\\]{}\",:a-z0-9]{0,8}",
    ];
    let whole = (0..6_u64, vec(message, 0..10), any::<bool>(), 990..1010_u16).prop_map(
        move |(number, messages, closed, code)| {
            let end = if closed { format!(",\"closed\":{{\"code\":{code}}}") } else { String::new() };
            format!("{{\"{name}\":{number},\"messages\":[{}]{end},\"ack\":{number}}}", messages.join(","))
                .into_bytes()
        },
    );
    let cut = (whole.clone(), any::<u16>(), any::<u8>()).prop_map(|(mut body, at, byte)| {
        let at = usize::from(at) % body.len();
        body[at] = byte;
        body
    });
    prop_oneof![6 => whole, 2 => cut, 1 => vec(any::<u8>(), 0..30)]
}
