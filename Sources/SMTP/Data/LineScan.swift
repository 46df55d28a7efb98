import Bytes

/// Follows the lines of a body through a stretch of it. Only CRLF ends a line; a LF or CR by itself is a defect.
struct LineScan {
  private var openLine = 0
  private var longestLine = 0
  private var lineBreaks = 0
  private var hasBareLineFeed = false
  private var startsAfterCarriageReturn = false
  private var endsWithCarriageReturn = false
  private var carriageReturns = 0
  private var hasNUL = false
  /// The stretch ended with CRLF.
  private(set) var isAtLineStart = false

  init() {}

  init(after outcome: DataOutcome) {
    openLine = outcome.openLine
    startsAfterCarriageReturn = outcome.endsWithCarriageReturn
  }

  /// Goes to the end of the line at `position`, or of what there is; true if it ended with CRLF.
  @inline(__always)
  mutating func takeLine(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Bool {
    isAtLineStart = false
    guard let lineFeed = ByteScan.firstIndex(of: 0x0A, in: bytes, from: position) else {
      openLine += bytes.count - position
      position = bytes.count
      return false
    }
    let isCRLF = lineFeed > 0 ? bytes[lineFeed - 1] == 0x0D : startsAfterCarriageReturn
    let length = openLine + (lineFeed - position)
    position = lineFeed + 1
    guard isCRLF else {
      hasBareLineFeed = true
      openLine = length + 1
      return false
    }
    lineBreaks += 1
    longestLine = max(longestLine, length - 1)
    openLine = 0
    isAtLineStart = true
    return true
  }

  /// The stretch has been gone through.
  mutating func finish(_ bytes: UnsafeRawBufferPointer) {
    let census = ByteScan.census(bytes)
    carriageReturns = census.carriageReturns
    hasNUL = census.hasNUL
    endsWithCarriageReturn = bytes.last.map { $0 == 0x0D } ?? startsAfterCarriageReturn
  }

  /// Adds what was found to what is known of the body.
  func store(in outcome: inout DataOutcome, maximumLine: Int) {
    outcome.openLine = openLine
    // A CR at the end may belong to an open line's CRLF; it counts once what follows is known.
    outcome.longestLine = max(outcome.longestLine, longestLine, openLine - (endsWithCarriageReturn ? 1 : 0))
    if outcome.longestLine > maximumLine { outcome.defects.insert(.longLine) }
    if hasBareLineFeed { outcome.defects.insert(.bareLineFeed) }
    if hasNUL { outcome.defects.insert(.nul) }
    let before = startsAfterCarriageReturn ? 1 : 0
    let after = endsWithCarriageReturn ? 1 : 0
    if carriageReturns + before - after != lineBreaks { outcome.defects.insert(.bareCarriageReturn) }
    outcome.endsWithCarriageReturn = endsWithCarriageReturn
  }
}
