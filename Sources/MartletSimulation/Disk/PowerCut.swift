import Outside

/// What a power cut leaves of what was not synced.
public enum Survival: Hashable, Sendable, CaseIterable {
  /// Everything written: also what a killed process leaves.
  case kept
  /// Nothing that was not synced.
  case dropped
  /// Each 512-octet sector of each unsynced write, each unsynced truncation and the later names by chance.
  case torn
}

/// Goes through a recording and tells what a power cut at each moment would have left.
///
/// Rules: a file's sync makes its writes and size durable, a folder's sync the names in it, in the order they were made. What is not synced
/// may survive in any mixture of sectors; of names, a beginning (a journalling file system writes them in order). Sectors are whole. A sync
/// that failed leaves a mixture for good: the kernel takes the pages for clean, so no later sync writes them.
public struct PowerCutSweep {
  /// Octets a drive writes whole: 512.
  public static let sector = 512

  /// Operations of the recording that have been done.
  public private(set) var position = 0
  private let operations: [DiskOperation]
  private let random: SeededRandom
  private var durable: DiskImage
  private var names: [NameChange] = []
  /// Unsynced writes and truncations of each file, in order.
  private var pending: [DiskImage.FileID: [DiskOperation]] = [:]

  public init(base: DiskImage, operations: [DiskOperation], seed: UInt64) {
    self.durable = base
    self.operations = operations
    self.random = SeededRandom(seed: seed)
  }

  public var isAtEnd: Bool { position >= operations.count }

  /// Whether anything is unsynced, so that the ways to survive differ.
  public var hasUnsynced: Bool { !names.isEmpty || pending.contains { !$0.value.isEmpty } }

  /// The operation done last.
  public var last: DiskOperation? { position > 0 && position <= operations.count ? operations[position - 1] : nil }

  /// Does the next operation.
  public mutating func advance() {
    guard position < operations.count else { return }
    let operation = operations[position]
    position += 1
    switch operation {
    case .write(let file, _, _), .truncate(let file, _): pending[file, default: []].append(operation)
    case .sync(let file): settle(file, sectors: nil)
    case .failedSync(let file): settle(file) { [random] in random.chance(in: 2) }
    case .name(let change):
      names.append(change)
      if case .create(_, let file) = change, durable.files[file] == nil { durable.files[file] = [] }
    case .syncFolder(let folder):
      for change in names where change.folder == folder { durable.apply(change) }
      names.removeAll { $0.folder == folder }
    }
  }

  /// The disk after a power cut now.
  public func image(_ survival: Survival) -> DiskImage {
    var image = durable
    // Nothing kept, or everything, must be likely as well as every mixture.
    let odds = random.next(below: 4) + 1
    let kept: Int =
      switch survival {
      case .kept: names.count
      case .dropped: 0
      case .torn: Int(clamping: random.next(below: UInt64(names.count + 1)))
      }
    for change in names.prefix(kept) { image.apply(change) }
    guard survival != .dropped else { return prune(image) }
    let chooses: (() -> Bool)? =
      survival == .kept ? nil : { [random] in odds == 4 ? !random.chance(in: 4) : random.chance(in: odds) }
    for file in pending.keys.sorted() {
      guard var bytes = image.files[file], let operations = pending[file] else { continue }
      image.files[file] = nil
      for operation in operations { Self.apply(operation, to: &bytes, sectors: chooses) }
      image.files[file] = bytes
    }
    return prune(image)
  }

  /// Makes a file's unsynced sectors that `sectors` chooses (nil: all) durable and forgets the others.
  private mutating func settle(_ file: DiskImage.FileID, sectors: (() -> Bool)?) {
    guard let operations = pending.removeValue(forKey: file), var bytes = durable.files.removeValue(forKey: file) else { return }
    for operation in operations { Self.apply(operation, to: &bytes, sectors: sectors) }
    durable.files[file] = bytes
  }

  /// Does a write sector by sector, or a truncation, where `sectors` says so; without it, all.
  private static func apply(_ operation: DiskOperation, to bytes: inout [UInt8], sectors: (() -> Bool)?) {
    switch operation {
    case .write(_, let offset, let written):
      guard let sectors else { return bytes.overwrite(at: offset, with: written[...]) }
      var start = 0
      while start < written.count {
        let end = min(written.count, (offset + start) / sector * sector + sector - offset)
        if sectors() { bytes.overwrite(at: offset + start, with: written[start..<end]) }
        start = end
      }
    case .truncate(_, let size): if sectors?() ?? true { bytes.resize(to: size) }
    default: break
    }
  }

  /// Drops names in folders that did not survive, and files without names.
  private func prune(_ image: DiskImage) -> DiskImage {
    var image = image
    image.names = image.names.filter { image.folders.contains(DiskImage.folder(of: $0.key)) }
    let reachable = Set(image.names.values)
    image.files = image.files.filter { reachable.contains($0.key) }
    return image
  }
}
