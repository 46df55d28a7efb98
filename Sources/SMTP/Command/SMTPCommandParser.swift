import Bytes
import NIOCore

/// Cuts the input into lines and reads each as a command; skips what is too long; knows other protocols by their first bytes.
///
/// What it gives depends on the bytes alone, never on how they were cut into reads (only `isLast` tells of what stood behind).
public struct SMTPCommandParser: Sendable {
  private let limits: SMTPLimits
  private let dialect: SMTPDialect
  /// Octets at the beginning of the input known to hold no LF.
  private var scanned = 0
  /// Octets of an overlong line gone so far; nil outside of one.
  private var discarded: Int?
  private var isFirstLine = true
  /// The line that the last input was, if that was `malformed`, or the beginning of an `overlong` one: at most `SMTPLimits.commandLine`
  /// octets, so that who refuses it can tell what it was. Means nothing behind other inputs.
  public private(set) var refusedLine: [UInt8] = []

  /// The next line answers a challenge (RFC 4954, 4), so that it is no command. Reset by that line.
  public var expectsResponse = false

  public init(dialect: SMTPDialect, limits: SMTPLimits) {
    self.dialect = dialect
    self.limits = limits
  }

  /// The next input, consumed; nil if more bytes are needed.
  public mutating func next(from input: inout ByteBuffer) -> SMTPInput? {
    if let gone = discarded {
      if discard(gone, from: &input) { return .flooded }
      if discarded != nil { return nil }
    }
    guard let first = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return nil }
    if first == ProtocolGuess.tlsHandshake, !expectsResponse { return .foreign(.tls) }
    if isFirstLine {
      switch ProtocolGuess.startsProxyHeader(input) {
      case .yes: return .foreign(.proxy)
      case .perhaps: return nil
      case .no: break
      }
    }
    let limit = lineLimit(of: input)
    guard let length = lineLength(in: input, limit: limit) else {
      guard input.readableBytes >= limit else {
        scanned = input.readableBytes
        return nil
      }
      scanned = 0
      discarded = limit
      isFirstLine = false
      // Who begins another protocol gets that one's answer, however long the line.
      let isResponse = expectsResponse
      expectsResponse = false
      let foreign = isResponse ? nil : ProtocolGuess.foreign(in: input)
      // What answers a challenge may be a password: it is kept nowhere.
      refusedLine = isResponse ? [] : input.getBytes(at: input.readerIndex, length: min(limit, max(limits.commandLine, 1))) ?? []
      input.moveReaderIndex(forwardBy: limit)
      return foreign.map { .foreign($0) } ?? .overlong
    }
    scanned = 0
    isFirstLine = false
    guard let line = input.readBytes(length: length) else { return nil }
    return read(line, isLast: input.readableBytes == 0)
  }

  /// Discards the rest of an overlong line; true if it goes on beyond `SMTPLimits.discardedLine` (HOSTILE 4).
  private mutating func discard(_ gone: Int, from input: inout ByteBuffer) -> Bool {
    let left = max(limits.discardedLine - gone, 0)
    if let length = lineLength(in: input, limit: left) {
      input.moveReaderIndex(forwardBy: length)
      discarded = nil
      return false
    }
    let taken = min(left, input.readableBytes)
    input.moveReaderIndex(forwardBy: taken)
    discarded = gone + taken
    return taken == left
  }

  /// AUTH may carry a long initial response, and so may the line behind a challenge (RFC 4954, 4).
  private func lineLimit(of input: ByteBuffer) -> Int {
    guard input.readableBytes >= limits.commandLine else { return max(limits.commandLine, 1) }
    let isAuthentication =
      expectsResponse || input.withUnsafeReadableBytes { $0.prefix(5).equals(ignoringCase: "AUTH ") }
    return max(isAuthentication ? limits.authenticationLine : limits.commandLine, 1)
  }

  /// Octets of the line at the beginning, with its LF, if it ends within `limit`.
  private func lineLength(in input: ByteBuffer, limit: Int) -> Int? {
    input.withUnsafeReadableBytes { bytes in
      let window = UnsafeRawBufferPointer(rebasing: bytes.prefix(limit))
      return ByteScan.firstIndex(of: 0x0A, in: window, from: scanned < window.count ? scanned : 0).map { $0 + 1 }
    }
  }

  private mutating func read(_ line: [UInt8], isLast: Bool) -> SMTPInput {
    var line = line
    line.removeLast(min(1, line.count))
    let hasCarriageReturn = line.last == 0x0D
    if hasCarriageReturn { line.removeLast() }
    if !refusedLine.isEmpty { refusedLine = [] }
    if expectsResponse {
      expectsResponse = false
      return hasCarriageReturn ? .response(line) : .malformed(.bareLineFeed)
    }
    do {
      let command = try SMTPCommand.parse(line)
      if command == .unknown, let foreign = ProtocolGuess.foreign(line) { return .foreign(foreign) }
      guard hasCarriageReturn else {
        if case .bdat = command { return .malformed(.badChunk) }
        refusedLine = line
        return .malformed(.bareLineFeed)
      }
      return .command(known(command), isLast: isLast)
    } catch {
      refusedLine = line
      return .malformed(hasCarriageReturn || error == .badChunk ? error : .bareLineFeed)
    }
  }

  /// RFC 2033, 4.1: LHLO belongs to LMTP, EHLO and HELO to SMTP.
  private func known(_ command: SMTPCommand) -> SMTPCommand {
    switch command {
    case .ehlo, .helo: dialect == .lmtp ? .unknown : command
    case .lhlo: dialect == .lmtp ? command : .unknown
    default: command
    }
  }
}
