import CLinux
import Glibc
import Outside
import Synchronization

/// The kernel's random numbers (`getrandom`), 512 bytes a call: each byte is given out once and then wiped.
///
/// Without entropy the call waits, as early in a machine's boot. Where it is refused (a sandbox, an old kernel) `/dev/urandom` is read
/// instead; where there is neither, the process ends with status 75 and says so: made-up numbers would be guessed (HOSTILE 60).
public final class SystemRandom: RandomSource {
  private struct Pool: ~Copyable {
    var words = [UInt64](repeating: 0, count: 64)
    var next = 64
  }

  /// Fills a place with random octets: how many it gave, or -1 and `errno`.
  typealias Source = @Sendable (UnsafeMutableRawPointer?, Int) -> Int

  private let pool = Mutex(Pool())
  private let kernel: Source
  private let device: String

  /// Makes one with an empty pool.
  public convenience init() { self.init(kernel: { clinux_getrandom($0, $1) }, device: "/dev/urandom") }

  /// For tests: asks `kernel`, and reads `device` where it gives nothing.
  init(kernel: @escaping Source, device: String) {
    self.kernel = kernel
    self.device = device
  }

  public func next() -> UInt64 {
    pool.withLock { pool in
      if pool.next >= pool.words.count {
        fill(&pool.words)
        pool.next = 0
      }
      let word = pool.words[pool.next]
      pool.words[pool.next] = 0
      pool.next += 1
      return word
    }
  }

  private func fill(_ words: inout [UInt64]) {
    words.withUnsafeMutableBytes { bytes in
      var filled = 0
      while filled < bytes.count {
        let (place, wanted) = (bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
        let got = kernel(place, wanted)
        if got > 0 {
          filled += got
        } else if errno != EINTR {
          filled += readDevice(place, wanted)
        }
      }
    }
  }

  /// At least one octet of the device.
  private func readDevice(_ place: UnsafeMutableRawPointer?, _ wanted: Int) -> Int {
    while true {
      let descriptor = open(device, O_RDONLY | O_CLOEXEC)
      defer { if descriptor >= 0 { close(descriptor) } }
      let got = descriptor >= 0 ? read(descriptor, place, wanted) : -1
      if got > 0 { return got }
      if got < 0, errno == EINTR { continue }
      let text = "martlet: no random numbers: neither getrandom nor \(device) gives any\n"
      _ = write(2, text, text.utf8.count)
      exit(75)
    }
  }
}
