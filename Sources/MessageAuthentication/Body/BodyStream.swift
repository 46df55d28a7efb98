import Bytes

/// The canonical form of a body in pieces (RFC 6376, 3.4.3 and 3.4.4), hashed as it comes out.
///
/// What can't be decided yet is held as numbers: line ends that may be the body's last, a blank that may end its line, a CR whose LF
/// may follow. Everything else goes into the hash in runs as long as nothing has to be changed in them, from where it lies. A CR or
/// LF alone is an octet like others.
struct BodyStream: Sendable {
  private let canonicalization: Canonicalization
  private var hash = SHA256()
  private var octets: UInt64 = 0

  /// Where a hash of the first octets is wanted, the next one last.
  private var lengths: [UInt64]
  private let wantsAll: Bool
  private var prefixes: [UInt64: [UInt8]] = [:]

  /// Line ends that count only if something follows (RFC 6376, 3.4.3).
  private var heldLineEnds: UInt64 = 0
  /// Blanks that count, as one, only if something follows on their line (RFC 6376, 3.4.4). Relaxed only; before `heldReturn`.
  private var hasHeldBlank = false
  private var hasHeldReturn = false
  private var isEmpty = true

  init(_ canonicalization: Canonicalization, lengths: [UInt64?]) {
    self.canonicalization = canonicalization
    wantsAll = lengths.contains(nil)
    self.lengths = Set(lengths.compactMap(\.self)).sorted(by: >)
  }

  mutating func take(_ bytes: UnsafeRawBufferPointer) {
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if hasHeldReturn {
        hasHeldReturn = false
        if byte == 0x0A {
          hasHeldBlank = false
          heldLineEnds = heldLineEnds.addedClamped(1)
          index += 1
          continue
        }
        release()
        emit(Self.lineEnds, count: 1)
      }
      if byte == 0x0D {
        hasHeldReturn = true
        index += 1
      } else if byte.isASCIIBlank, canonicalization == .relaxed {
        hasHeldBlank = true
        index += 1
      } else {
        release()
        let end = canonicalization == .relaxed ? Self.relaxedRun(bytes, from: index) : Self.simpleRun(bytes, from: index)
        emit(UnsafeRawBufferPointer(rebasing: bytes[index..<end]))
        index = end
      }
    }
  }

  /// The end of a run that begins with an octet that is neither CR nor blank, and in which each octet counts as it is.
  private static func relaxedRun(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    var index = start + 1
    while index < bytes.count {
      switch bytes[index] {
      case 0x20:
        // One blank before something on the same line.
        guard index + 1 < bytes.count, isPlain(bytes[index + 1]) else { return index }
        index += 2
      case 0x0D:
        guard index + 2 < bytes.count, bytes[index + 1] == 0x0A, isPlain(bytes[index + 2]) else { return index }
        index += 3
      case 0x09: return index
      default: index += 1
      }
    }
    return index
  }

  private static func simpleRun(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    var index = start + 1
    while let found = ByteScan.firstIndex(of: 0x0D, in: bytes, from: index) {
      guard found + 2 < bytes.count, bytes[found + 1] == 0x0A, bytes[found + 2] != 0x0D else { return found }
      index = found + 3
    }
    return bytes.count
  }

  private static func isPlain(_ byte: UInt8) -> Bool { byte != 0x20 && byte != 0x0D && byte != 0x09 }

  /// Something follows: what was held counts.
  private mutating func release() {
    isEmpty = false
    while heldLineEnds > 0 {
      let count = min(heldLineEnds, UInt64(Self.lineEnds.count / 2))
      emit(Self.lineEnds, count: Int(count) * 2)
      heldLineEnds -= count
    }
    if hasHeldBlank { emit(Self.blank, count: 1) }
    hasHeldBlank = false
  }

  mutating func finish(into hashes: inout BodyHashes) {
    if hasHeldReturn {
      release()
      emit(Self.lineEnds, count: 1)
    }
    // An empty body is a line end to the simple form (RFC 6376, 3.4.3), and nothing to the relaxed one (RFC 6376, 3.4.4).
    if !isEmpty || canonicalization == .simple { emit(Self.lineEnds, count: 2) }
    let wanted = lengths.map(Optional.some) + (wantsAll ? [nil] : []) + prefixes.keys.map(Optional.some)
    let all = hash.hash()
    for length in wanted {
      guard let sha256 = length.flatMap({ prefixes[$0] }) ?? all else { continue }
      hashes.hashes[BodyHashKind(canonicalization, length: length)] = BodyHashes.Hash(sha256: sha256, octets: octets)
    }
  }

  // MARK: Into the hash

  private static let lineEnds: [UInt8] = (0..<1_024).map { $0 % 2 == 0 ? 0x0D : 0x0A }
  private static let blank: [UInt8] = [0x20]

  private mutating func emit(_ bytes: [UInt8], count: Int) {
    bytes.withUnsafeBytes { emit(UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
  }

  private mutating func emit(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while let length = lengths.last, length - octets <= UInt64(rest.count) {
      let part = Int(length - octets)
      hash.update(UnsafeRawBufferPointer(rebasing: rest.prefix(part)))
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part))
      octets = length
      prefixes[length] = hash.hash()
      lengths.removeLast()
    }
    // Nobody asks for more: it is only counted.
    if wantsAll || !lengths.isEmpty { hash.update(rest) }
    octets = octets.addedClamped(UInt64(rest.count))
  }
}
