/// Counts, in one pass over a stretch of body, what only a hostile or broken peer sends: CRs (to be held against the CRLFs found), and NULs.
///
/// The lines themselves are found by memchr, so that a body is read twice, at many GB/s each time.
enum LineCensus {
  struct Counts {
    var carriageReturns = 0
    var hasNUL = false
  }

  static func count(_ bytes: UnsafeRawBufferPointer) -> Counts {
    var counts = Counts()
    guard let base = bytes.baseAddress else { return counts }
    var smallest: UInt8 = 0xFF
    var index = 0
    while index < bytes.count {
      // In blocks whose count fits 8 bits the compiler takes 16 octets a step: 19 GB/s measured, against 7 with a count of 64 bits.
      let stop = min(index &+ 128, bytes.count)
      var found: UInt8 = 0
      for offset in index..<stop {
        let byte = base.load(fromByteOffset: offset, as: UInt8.self)
        found &+= byte == 0x0D ? 1 : 0
        smallest = byte < smallest ? byte : smallest
      }
      counts.carriageReturns &+= Int(found)
      index = stop
    }
    counts.hasNUL = smallest == 0
    return counts
  }
}
