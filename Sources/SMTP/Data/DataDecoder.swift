import NIOCore

/// A message body on its way in: dot-stuffed up to `<CRLF>.<CRLF>` (RFC 5321, 4.5.2), or a chunk of exactly N octets (RFC 3030, 2).
///
/// Gives slices of the input without copying, but for what unstuffing takes out. Once the body has a defect or is too large
/// nothing more is given; reading goes on to its end, or, beyond `SMTPLimits.overrun`, is given up. What comes out does not depend on how
/// the input was cut.
public struct DataDecoder: Sendable {
  /// What a call gave.
  public enum Output: Sendable {
    /// Octets of the message, dots unstuffed; never empty.
    case bytes(ByteBuffer)
    /// Nothing more without more input. Up to two octets may have been left in it.
    case needsInput
    /// The end; what follows in the input is the next command.
    case ended(DataOutcome)
  }

  private enum Framing {
    case dots
    case octets(UInt64)
  }

  private var framing: Framing
  /// Whether lines are looked at: not in BODY=BINARYMIME, not in what is discarded.
  private let checksLines: Bool
  private let isDiscardedFromStart: Bool
  private let maximumSize: UInt64
  private let maximumRead: UInt64
  private let maximumLine: Int
  /// The next octet begins a line whose predecessor ended with CRLF.
  private var isAtLineStart = true
  private var outcome: DataOutcome

  /// A dot-stuffed body (DATA).
  public static func dotStuffed(limits: SMTPLimits) -> Self {
    Self(framing: .dots, checksLines: true, isDiscarded: false, limits: limits, outcome: DataOutcome())
  }

  /// A chunk of `octets` (BDAT), which goes on where `previous` ended.
  ///
  /// - Parameter isBinary: BODY=BINARYMIME: any octet may stand anywhere.
  public static func chunk(octets: UInt64, isBinary: Bool, after previous: DataOutcome, limits: SMTPLimits) -> Self {
    Self(framing: .octets(octets), checksLines: !isBinary, isDiscarded: false, limits: limits, outcome: previous)
  }

  /// A chunk of `octets` that belongs to no message (HOSTILE 3).
  public static func discarding(octets: UInt64, limits: SMTPLimits) -> Self {
    Self(framing: .octets(octets), checksLines: false, isDiscarded: true, limits: limits, outcome: DataOutcome())
  }

  private init(framing: Framing, checksLines: Bool, isDiscarded: Bool, limits: SMTPLimits, outcome: DataOutcome) {
    self.framing = framing
    self.checksLines = checksLines
    self.isDiscardedFromStart = isDiscarded
    self.maximumSize = limits.messageSize == 0 || isDiscarded ? .max : limits.messageSize
    self.maximumRead = maximumSize == .max ? .max : maximumSize.addedClamped(limits.overrun)
    self.maximumLine = limits.bodyLine > 0 ? limits.bodyLine : .max
    self.outcome = outcome
  }

  /// Whether everything is thrown away: nothing will be given any more, and a session may drop what it has.
  public var isDiscarding: Bool { isDiscardedFromStart || !outcome.defects.isEmpty }

  /// Consumes input.
  public mutating func next(from input: inout ByteBuffer) -> Output {
    while true {
      let wasDiscarding = isDiscarding
      let part: Part
      switch framing {
      case .dots: part = scanDots(input)
      case .octets(let left):
        guard left > 0 else { return .ended(outcome) }
        part = scanChunk(input, left)
      }
      if part.isEnd {
        input.moveReaderIndex(forwardBy: part.consumed)
        return .ended(outcome)
      }
      guard part.consumed > 0 else { return .needsInput }
      account(part)
      if outcome.octets > maximumRead {
        outcome.defects.insert(.overrun)
        return .ended(outcome)
      }
      let isGiven = !wasDiscarding && !isDiscarding
      if let unstuffed = part.unstuffed {
        input.moveReaderIndex(forwardBy: part.consumed)
        if isGiven, unstuffed.readableBytes > 0 { return .bytes(unstuffed) }
      } else if isGiven, let slice = input.readSlice(length: part.consumed) {
        return .bytes(slice)
      } else {
        input.moveReaderIndex(forwardBy: part.consumed)
      }
    }
  }

  /// What one look at the input found.
  private struct Part {
    /// Octets to take out of the input.
    var consumed = 0
    /// Octets of the message in them.
    var octets = 0
    /// The octets of the message, where dots had to be taken out.
    var unstuffed: ByteBuffer?
    /// The end stands at the beginning of the input, `consumed` octets long.
    var isEnd = false
    var lines = LineScan()
  }

  /// Everything up to the end, or to what only more input can tell.
  private func scanDots(_ input: ByteBuffer) -> Part {
    input.withUnsafeReadableBytes { bytes in
      var part = Part()
      part.lines = LineScan(after: outcome)
      var position = 0
      var start = 0
      var isAtLineStart = isAtLineStart
      while position < bytes.count {
        if isAtLineStart, bytes[position] == UInt8(ascii: ".") {
          switch Dot(bytes, at: position) {
          case .undecided: return finished(part, bytes, from: start, to: position)
          case .end where position == 0: return Part(consumed: 3, isEnd: true)
          case .end: return finished(part, bytes, from: start, to: position)
          case .stuffed:
            // RFC 5321, 4.5.2: the dot goes, the rest of the line is text.
            if part.unstuffed == nil { part.unstuffed = ByteBufferAllocator().buffer(capacity: bytes.count) }
            part.unstuffed?.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
            position += 1
            start = position
          }
        }
        isAtLineStart = part.lines.takeLine(bytes, &position)
      }
      return finished(part, bytes, from: start, to: position)
    }
  }

  private func finished(_ part: Part, _ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Part {
    var part = part
    part.consumed = end
    part.lines.finish(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
    guard part.unstuffed != nil else {
      part.octets = end
      return part
    }
    part.unstuffed?.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    part.octets = part.unstuffed?.readableBytes ?? 0
    return part
  }

  /// What there is of the chunk.
  private func scanChunk(_ input: ByteBuffer, _ left: UInt64) -> Part {
    input.withUnsafeReadableBytes { bytes in
      var part = Part()
      let count = Int(clamping: min(left, UInt64(bytes.count)))
      part.consumed = count
      part.octets = count
      guard checksLines else { return part }
      part.lines = LineScan(after: outcome)
      let chunk = UnsafeRawBufferPointer(rebasing: bytes[..<count])
      var position = 0
      while position < count { _ = part.lines.takeLine(chunk, &position) }
      part.lines.finish(chunk)
      return part
    }
  }

  private mutating func account(_ part: Part) {
    if case .octets(let left) = framing { framing = .octets(left - min(left, UInt64(part.consumed))) }
    outcome.octets = outcome.octets.addedClamped(UInt64(part.octets))
    if outcome.octets > maximumSize { outcome.defects.insert(.tooLarge) }
    guard checksLines else { return }
    isAtLineStart = part.lines.isAtLineStart
    part.lines.store(in: &outcome, maximumLine: maximumLine)
  }
}

/// What a dot at the beginning of a line is (RFC 5321, 4.5.2): the end if CRLF follows, and nothing else is.
private enum Dot {
  case end, stuffed, undecided

  init(_ bytes: UnsafeRawBufferPointer, at position: Int) {
    let left = bytes.count - position
    if left < 2 {
      self = .undecided
    } else if bytes[position + 1] != 0x0D {
      self = .stuffed
    } else if left < 3 {
      self = .undecided
    } else {
      self = bytes[position + 2] == 0x0A ? .end : .stuffed
    }
  }
}
