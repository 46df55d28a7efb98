/// Everything that can go wrong in the simulated internet. A run counts how often each did: one that never fires shows nothing.
public enum FaultKind: String, CaseIterable, Sendable, Codable {
  // The network.
  case partition, slowConnection = "slow connection", brokenConnection = "broken connection"
  case lostAcknowledgement = "acknowledgement lost on its way", brokenTLS = "failed TLS handshake"
  // Names.
  case failingNames = "SERVFAIL", silentNames = "name server silent", missingName = "NXDOMAIN", nullMX = "null MX"
  case aliasLoop = "CNAME loop", bogusNames = "bogus DNSSEC", manyExchangers = "500 MX records"
  // Servers.
  case crash, crashInWrite = "crash in the middle of a write", powerCutKept = "power cut, unsynced writes kept"
  case powerCutDropped = "power cut, unsynced writes lost", powerCutTorn = "power cut, unsynced sectors torn"
  case fullDisk = "full disk", failedSync = "failed sync", clockForward = "clock set forward", clockBack = "clock set back"
  // Other hosts.
  case transientReply = "4xx reply", permanentReply = "5xx reply", shutdownReply = "421 reply", droppedByHost =
    "dropped by the host"
  case slowHost = "slow host", lyingHost = "host lies: 250 and forgets", garbledReply = "reply that can't be read"
  case forgetfulHost = "host keeps the message and hangs up before its 250"
  // Clients.
  case smuggling, oversized = "oversized message", endlessLine = "endless line", halfSession = "half a session"
  case earlyTalker = "client speaks first", openRelay = "attempt to relay", fullMailbox = "full mailbox"
}

/// How often each fault happened.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class FaultCounts: @unchecked Sendable {
  private(set) var all: [FaultKind: Int] = [:]

  func note(_ kind: FaultKind) { all[kind, default: 0] += 1 }
}
