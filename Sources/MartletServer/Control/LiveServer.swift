import Delivery
import MailModel
import MailStore
import Outside

/// What a command may ask of the running server beside its store.
public protocol LiveServer: Sendable {
  /// Reads domains, accounts and aliases anew; the next RCPT knows them when this returns.
  func directoryChanged() async throws(StoreError)

  /// Recipients may have become due: look at the queue now.
  func wakeQueue()

  /// Takes those of these recipients out of delivery's hands that are not being attempted just now; how many.
  func withdraw(_ recipients: [QueueRecipientID]) async -> Int

  /// What goes on towards these destinations (as queued recipients have them), and up to `busy` others.
  func destinations(_ names: [String], busy: Int) async -> [DestinationReport]

  /// Takes no more mail, or takes it again.
  func drain(_ isDraining: Bool)

  /// What is going on.
  var report: LiveReport { get }
}

/// What is going on in the running server.
public struct LiveReport: Hashable, Sendable, Codable {
  public struct Listener: Hashable, Sendable, Codable {
    public var `protocol`: String
    public var address: String
    public var open: Int
    public var accepted: UInt64
    public var refused: UInt64

    public init(protocol: String, address: String, open: Int, accepted: UInt64, refused: UInt64) {
      self.protocol = `protocol`
      self.address = address
      self.open = open
      self.accepted = accepted
      self.refused = refused
    }
  }

  /// The server's process.
  public var process: Int32
  /// Seconds since it started.
  public var uptime: Int64
  public var listeners: [Listener]
  /// No mail is taken (`martlet drain`).
  public var draining: Bool
  /// Sessions that were ended for others' sake, and connections that were turned away.
  public var shedSessions: UInt64
  public var refusedConnections: UInt64
  /// Events of refused peers that are missing in the trace, since they came faster than they could be written.
  public var droppedNotes: UInt64

  public init(
    process: Int32, uptime: Int64, listeners: [Listener], shedSessions: UInt64, refusedConnections: UInt64,
    droppedNotes: UInt64 = 0,
    draining: Bool = false
  ) {
    self.process = process
    self.uptime = uptime
    self.listeners = listeners
    self.shedSessions = shedSessions
    self.refusedConnections = refusedConnections
    self.droppedNotes = droppedNotes
    self.draining = draining
  }
}
