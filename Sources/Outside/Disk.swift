/// Files, as the body segments use them. Every call may block: it is made on a `SerialWorker`, never on an event loop.
///
/// The server's stands on the kernel; a simulation's records each write, sync and rename, loses or tears what was not synced,
/// and fails on demand. Paths are relative to the data folder, and made by us, never by the network.
public protocol Disk: Sendable {
  /// Opens a file for reading and writing; makes it (mode 0600) when `create` says so, refusing one that exists if `exclusive`.
  func open(_ path: String, create: Bool, exclusive: Bool) throws(DiskError) -> any DiskFile

  /// The names in a folder, sorted.
  func list(_ folder: String) throws(DiskError) -> [String]

  /// Makes a folder (mode 0700) and its parents; one that exists is no error.
  func makeFolder(_ path: String) throws(DiskError)

  /// Renames within the data folder, replacing the target. Durable only after `syncFolder`.
  func rename(_ from: String, to: String) throws(DiskError)

  /// Removes a file. Durable only after `syncFolder`.
  func remove(_ path: String) throws(DiskError)

  /// Makes names in `folder` durable (fsync of the folder).
  func syncFolder(_ folder: String) throws(DiskError)

  /// Bytes free for us on the file system.
  func freeBytes() throws(DiskError) -> UInt64
}

/// An open file.
public protocol DiskFile: Sendable {
  /// Reads up to `count` bytes at `offset`; fewer at the end of the file.
  func read(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8]

  /// Writes all of `bytes` at `offset`, growing the file if need be. Not durable before `sync` returns.
  func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError)

  /// Makes every write before it durable (fdatasync). A failure is final for the file: the kernel may have dropped the pages,
  /// so a later success proves nothing.
  func sync() throws(DiskError)

  /// The file's size in bytes.
  func size() throws(DiskError) -> UInt64

  /// Cuts or extends (with zeros, as a hole) the file.
  func truncate(to size: UInt64) throws(DiskError)

  /// Closes it; later calls fail.
  func close()
}

/// Why a file operation failed.
public struct DiskError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    /// ENOSPC or EDQUOT: `452 4.3.1`.
    case full
    case notFound
    case exists
    /// EMFILE, ENFILE.
    case tooManyOpen
    /// EIO and everything else that says the medium can't be trusted.
    case failed
  }

  public var kind: Kind
  public var operation: String
  public var path: String
  /// The system's error number, 0 if there is none.
  public var errno: Int32

  public init(_ kind: Kind, operation: String, path: String, errno: Int32 = 0) {
    self.kind = kind
    self.operation = operation
    self.path = path
    self.errno = errno
  }

  public var description: String { "\(operation) \(path): \(kind) (errno \(errno))" }
}
