/// What a disk holds: names and bytes. A value; copies share what they have in common.
public struct DiskImage: Sendable {
  /// A file, whatever it is called.
  public typealias FileID = Int

  /// File names by path. Folders are names too (`folders`); "" is the data folder and always there.
  public var names: [String: FileID] = [:]
  public var folders: Set<String> = [""]
  public var files: [FileID: [UInt8]] = [:]

  public init() {}

  /// The bytes of a file; nil if there is none of that name.
  public subscript(path: String) -> [UInt8]? {
    get { names[path].flatMap { files[$0] } }
    set {
      if let newValue {
        let file = names[path] ?? (files.keys.max() ?? 0) + 1
        names[path] = file
        files[file] = newValue
      } else if let file = names.removeValue(forKey: path) {
        files[file] = nil
      }
    }
  }

  /// The folder a path lies in; "" for the data folder.
  public static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
  }

  /// Applies a change of names.
  mutating func apply(_ change: NameChange) {
    switch change {
    case .folder(let path): folders.insert(path)
    case .create(let path, let file):
      names[path] = file
      if files[file] == nil { files[file] = [] }
    case .rename(let from, let to): if let file = names.removeValue(forKey: from) { names[to] = file }
    case .remove(let path): names[path] = nil
    }
  }
}

/// A change of names. Durable once its folder is synced.
public enum NameChange: Hashable, Sendable {
  case folder(String)
  case create(String, DiskImage.FileID)
  case rename(String, to: String)
  case remove(String)

  /// The folder whose sync makes it durable.
  var folder: String {
    switch self {
    case .folder(let path), .create(let path, _), .rename(_, let path), .remove(let path): DiskImage.folder(of: path)
    }
  }
}

/// One thing that was done to the disk.
public enum DiskOperation: Hashable, Sendable {
  case write(DiskImage.FileID, offset: Int, bytes: [UInt8])
  case truncate(DiskImage.FileID, size: Int)
  case sync(DiskImage.FileID)
  /// The sync failed: some of what was not synced may have reached the medium, the rest never will.
  case failedSync(DiskImage.FileID)
  case name(NameChange)
  case syncFolder(String)
}

extension [UInt8] {
  /// Writes as a file is written: a gap becomes zeros.
  mutating func overwrite(at offset: Int, with bytes: ArraySlice<UInt8>) {
    let end = offset + bytes.count
    if offset == count {
      append(contentsOf: bytes)
      return
    }
    if end > count { append(contentsOf: repeatElement(0, count: end - count)) }
    bytes.withUnsafeBytes { source in
      withUnsafeMutableBytes { target in
        UnsafeMutableRawBufferPointer(rebasing: target[offset..<end]).copyMemory(from: source)
      }
    }
  }

  /// Cuts or extends with zeros.
  mutating func resize(to size: Int) {
    if size < count { removeLast(count - size) } else { append(contentsOf: repeatElement(0, count: size - count)) }
  }
}
