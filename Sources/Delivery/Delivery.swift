/// Delivery: takes queued messages to their next hops, and says so when that fails.
///
/// `Scheduler` claims what is due (or is handed what was just accepted), asks `Router` where it goes, and gives jobs to a
/// `DestinationPool` for each group of hosts; the pool's workers, each with one connection, run `Transport`, which speaks with
/// the host through `SMTPClient`; outcomes are recorded together, and `Notifier` tells senders.
///
/// Promises
/// - A recipient leaves the queue only after the next hop's positive reply, a stored notification, or a reason in the trace.
///   Unknown outcomes (connection lost behind the final dot) are tried again: twice rather than never.
/// - A fresh message costs no database read and no transaction beyond its acceptance: its removal rides in the next group.
/// - A destination that does not answer delays no other: each has its own pool, failures open a circuit, and destinations that
///   failed last may use half of the connections only.
/// - A host gets no more connections than its window, whatever domains, routes and names lead there (`HostGate`); one that a postmaster
///   bounded gets no more than that (`DestinationRule`), without an attempt being counted.
/// - No notification is sent to a null path, about a notification, or twice for one stage.
///
/// Limits: `DeliveryLimits`. Failure: transient outcomes go back to the queue with `Backoff`; a store that fails leaves the
/// entries claimed until their lease ends, then they are tried again.
///
/// Concurrency: everything here runs on one event loop (or one simulation thread): tasks are made through `spawn` once a
/// connection worker, state is confined to that loop.
///
/// RFC 5321, 4.5.4 (strategies); RFC 3461, RFC 3464, RFC 6533 (notifications); RFC 2033 (LMTP).
public enum Delivery {}
