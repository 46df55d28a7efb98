import CLinux
import Glibc
import Outside
import Synchronization

/// The page that supervisor and server share: what each thread is about to parse, and what was there at earlier crashes.
///
/// The last word says whether the server drains. The server writes the first part, a word a thread; after a crash the supervisor takes
/// these words into the second part, a list of digests with the number of crashes they were there at. Nothing in it is trusted: any value
/// is a digest or a count.
///
/// Limits: 128 threads (more are not noted), 256 digests (the oldest gives way).
///
/// - Confinement: a word of the first part is written by one thread; the second part is written by the supervisor while no
///   server runs. That is what makes `@unchecked Sendable` true.
public final class SharedNotes: ParsingNotes, @unchecked Sendable {
  static let threads = 128
  static let suspects = 256
  /// The last word: whether the server drains.
  private static let draining = threads + 2 * suspects
  private static let words = draining + 1
  private static let size = words * MemoryLayout<UInt64>.size
  /// Crashes after which a unit is not parsed any more.
  public static let crashesUntilQuarantine: UInt64 = 2

  /// The memory file, for the next server.
  public let descriptor: CInt
  private let page: UnsafeMutablePointer<UInt64>
  private let nextThread = Atomic<Int>(0)
  private let key: pthread_key_t
  private let hasSuspects: Bool

  /// Makes an empty page; nil without memory.
  public convenience init?() {
    let descriptor = clinux_memfd("martlet-notes")
    guard descriptor >= 0, ftruncate(descriptor, Self.size) == 0 else { return nil }
    self.init(descriptor: descriptor)
  }

  /// Maps the page of the supervisor; nil if the descriptor is none of its.
  public init?(descriptor: CInt) {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size == Self.size else { return nil }
    guard let address = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
      return nil
    }
    var key = pthread_key_t()
    guard pthread_key_create(&key, nil) == 0 else { return nil }
    self.key = key
    self.descriptor = descriptor
    page = address.bindMemory(to: UInt64.self, capacity: Self.words)
    hasSuspects = page[Self.threads] != 0
  }

  /// Whether mail is to be taken. A server that begins after a crash goes on as the one before it.
  public var isDraining: Bool {
    get { page[Self.draining] == 1 }
    set { page[Self.draining] = newValue ? 1 : 0 }
  }

  deinit {
    munmap(page, Self.size)
    close(descriptor)
    pthread_key_delete(key)
  }

  public func begin(_ unit: ParsingUnit) -> Bool {
    if hasSuspects && crashes(of: unit) >= Self.crashesUntilQuarantine { return false }
    guard let index = threadIndex else { return true }
    clinux_store(page + index, unit.digest)
    return true
  }

  public func end() {
    guard let index = threadIndex else { return }
    clinux_store(page + index, 0)
  }

  /// At how many crashes `unit` was being parsed.
  public func crashes(of unit: ParsingUnit) -> UInt64 {
    for index in 0..<Self.suspects {
      let place = Self.threads + 2 * index
      if page[place] == 0 { return 0 }
      if page[place] == unit.digest { return page[place + 1] }
    }
    return 0
  }

  /// The supervisor's part, after a crash: counts what stands in the first part, and clears it.
  ///
  /// - Returns: the digests that are now in quarantine because of it.
  func takeCrash() -> [UInt64] {
    var quarantined: [UInt64] = []
    for index in 0..<Self.threads {
      let digest = page[index]
      guard digest != 0 else { continue }
      page[index] = 0
      let count = count(digest)
      if count >= Self.crashesUntilQuarantine { quarantined.append(digest) }
    }
    return quarantined
  }

  private func count(_ digest: UInt64) -> UInt64 {
    for index in 0..<Self.suspects {
      let place = Self.threads + 2 * index
      if page[place] == digest || page[place] == 0 {
        page[place] = digest
        page[place + 1] &+= 1
        return page[place + 1]
      }
    }
    // Full: the oldest gives way.
    for place in Self.threads..<Self.draining - 2 { page[place] = page[place + 2] }
    page[Self.draining - 2] = digest
    page[Self.draining - 1] = 1
    return 1
  }

  private var threadIndex: Int? {
    let known = Int(bitPattern: pthread_getspecific(key))
    if known > 0 { return known <= Self.threads ? known - 1 : nil }
    let index = nextThread.add(1, ordering: .relaxed).oldValue
    pthread_setspecific(key, UnsafeRawPointer(bitPattern: index + 1))
    return index < Self.threads ? index : nil
  }
}
