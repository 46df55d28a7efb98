/// Counts, in one pass over a stretch of body, what only a hostile or broken peer sends: CRs (to be held against the CRLFs found), and NULs.
///
/// 32 octets a step: the lines themselves are found by memchr, so that together a body is read twice, at some GB/s.
enum LineCensus {
  struct Counts {
    var carriageReturns = 0
    var hasNUL = false
  }

  static func count(_ bytes: UnsafeRawBufferPointer) -> Counts {
    var counts = Counts()
    let step = SIMD32<UInt8>.scalarCount
    let carriageReturn = SIMD32<UInt8>(repeating: 0x0D)
    let one = SIMD32<UInt8>(repeating: 1)
    var smallest = SIMD32<UInt8>(repeating: 0xFF)
    var offset = 0
    while bytes.count - offset >= step {
      var found = SIMD32<UInt8>()
      // 255 steps at most before a lane of 8 bits could overflow.
      let steps = min((bytes.count - offset) / step, 255)
      for _ in 0..<steps {
        let lane = bytes.loadUnaligned(fromByteOffset: offset, as: SIMD32<UInt8>.self)
        found &+= one.replacing(with: 0, where: lane .!= carriageReturn)
        smallest = pointwiseMin(smallest, lane)
        offset += step
      }
      counts.carriageReturns += Int(SIMD32<UInt16>(truncatingIfNeeded: found).wrappedSum())
    }
    counts.hasNUL = smallest.min() == 0
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == 0x0D { counts.carriageReturns += 1 }
      if byte == 0 { counts.hasNUL = true }
      offset += 1
    }
    return counts
  }
}
