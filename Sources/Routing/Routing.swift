/// Routing: where mail for a domain goes next.
///
/// A postmaster's `RouteTable` is asked first; without an entry the MX records of the domain decide (RFC 5321, 5.1). The answer
/// is a `Route`: hosts in order of preference with their addresses, how to speak to them, and the evidence that the trace keeps.
///
/// Promises
/// - A route never permits relaying: this target is asked only about recipients that were accepted already.
/// - Nothing in the DNS can lead mail back to this host (own names and own addresses are cut, with everything at or above their
///   preference) or into internal networks, unless a route or the configuration says so (HOSTILE 36).
/// - A failed or bogus answer is transient and never taken for "no such record": no fall back to addresses when MX failed.
/// - Among hosts of equal preference the order is random, from the seeded `RandomSource`.
///
/// Limits: `RoutingLimits`. Records beyond `mxRecords` and hosts beyond `hosts` are ignored, lowest preference values first kept.
///
/// Failure: `RouteDecision.transient` (try later) and `.permanent` (with the reply that the notification shows).
///
/// RFC 5321, 5.1; RFC 7505 (null MX); RFC 3463 (codes); RFC 5890 (domains as A-labels).
public enum Routing {}
