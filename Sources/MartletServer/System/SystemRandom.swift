import CLinux
import Outside
import Synchronization

/// The kernel's random numbers (`getrandom`), 512 bytes a call: each byte is given out once and then wiped.
///
/// Without entropy the call waits, as early in a machine's boot; it fails for no other reason that a second try does not mend.
public final class SystemRandom: RandomSource {
  private struct Pool: ~Copyable {
    var words = [UInt64](repeating: 0, count: 64)
    var next = 64
  }

  private let pool = Mutex(Pool())

  /// Makes one with an empty pool.
  public init() {}

  public func next() -> UInt64 {
    pool.withLock { pool in
      if pool.next >= pool.words.count {
        Self.fill(&pool.words)
        pool.next = 0
      }
      let word = pool.words[pool.next]
      pool.words[pool.next] = 0
      pool.next += 1
      return word
    }
  }

  private static func fill(_ words: inout [UInt64]) {
    words.withUnsafeMutableBytes { bytes in
      var filled = 0
      while filled < bytes.count {
        let got = clinux_getrandom(bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
        if got > 0 { filled += got }
      }
    }
  }
}
