/// Notes what is about to be parsed where it outlives a crash, so that a message that was there at two crashes is not parsed a
/// third time.
///
/// A thread parses one thing at a time: `begin`, parse without waiting in between, `end`. The server's notes stand in a page
/// shared with the supervisor; a simulation needs none.
public protocol ParsingNotes: Sendable {
  /// Notes `unit` for the calling thread. Costs some ten nanoseconds.
  ///
  /// - Returns: false if it is in quarantine: it must not be parsed, and the client is told so (`451 4.3.0`).
  func begin(_ unit: ParsingUnit) -> Bool

  /// What was begun last on this thread is done.
  func end()
}

/// Notes nothing, and holds nothing in quarantine.
public struct NoParsingNotes: ParsingNotes {
  /// Makes it; it has no state.
  public init() {}
  public func begin(_ unit: ParsingUnit) -> Bool { true }
  public func end() {}
}

/// Names what is parsed: a digest of the bytes that lead to it, and of who sent them. The same in each process (FNV-1a, 64
/// bits), and no secret: a sender who makes two messages collide only harms his own.
public struct ParsingUnit: Hashable, Sendable {
  /// Never 0.
  public private(set) var digest: UInt64

  /// The unit of nothing; add who and what.
  public init() {
    digest = 0xCBF2_9CE4_8422_2325
  }

  /// Adds bytes: the client's address, the parser's name, the first kilobytes of the message.
  ///
  /// Not generic: over a sequence that the compiler does not know it takes an allocation a byte.
  public mutating func add(_ bytes: UnsafeRawBufferPointer) {
    for byte in bytes { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
    if digest == 0 { digest = 1 }
  }

  /// Adds a text, as UTF-8.
  public mutating func add(_ text: String) {
    var text = text
    text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
  }
}
