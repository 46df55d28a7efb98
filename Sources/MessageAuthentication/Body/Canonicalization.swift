/// How a message is made alike before it is hashed, so that what relays change does no harm (RFC 6376, 3.4).
public enum Canonicalization: String, Hashable, Sendable, CaseIterable {
  /// As it is; empty lines at the body's end don't count.
  case simple
  /// Runs of blanks count as one, those at line ends not at all; a field's name in lower case, and unfolded.
  case relaxed
}
