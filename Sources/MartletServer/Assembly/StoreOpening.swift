import Configuration
import Glibc
import Logging
import MailStore
import Outside

/// What a command may do to a store that no server has.
public enum StoreUse: Sendable {
  /// Makes it if it is not there.
  case making
  /// Works on one that is there.
  case existing
  /// Reads one that is there, and leaves everything on disk as it is.
  case reading
}

/// Opens the store of a configuration: the server does, and the command line when no server runs.
public enum StoreOpening {
  /// Opens the store in the data folder (made if it is missing), taking its lock.
  ///
  /// Throws `StoreError.unavailable` naming the process that has it.
  ///
  /// - Parameters:
  ///   - use: `invalid`, and nothing made, where there must be a store and is none.
  ///   - tell: hears what a postmaster should know of the store.
  public static func open(
    _ configuration: Configuration, for use: StoreUse = .making, clock: any Clock = SystemClock(),
    random: any RandomSource = SystemRandom(),
    tell: @escaping @Sendable (StoreNotice) -> Void = { _ in }
  ) async throws -> SQLiteStore {
    let disk = KernelDisk(folder: configuration.data)
    var options = Settings.store(configuration)
    options.tell = tell
    options.isReadOnly = use == .reading
    return try await SQLiteStore.open(
      options,
      in: SQLiteStore.Surroundings(disk: disk, clock: clock, random: random, workers: ThreadWorkerProvider()))
  }

  /// Why a command that makes no store can't begin; nil if there is one.
  public static func absence(of configuration: Configuration) -> AdminFailure? {
    let database = SQLiteStore.Options(folder: configuration.data).database
    if access(database, F_OK) == 0 || errno == EACCES { return nil }
    return AdminFailure(
      "\(configuration.data): there is no store there (\(String(cString: strerror(errno)))): is it the data folder of another configuration?",
      exitCode: 78)
  }

  /// As `open`, and waits up to `patience` while another process has the store: a command that ends soon, mostly.
  static func openPatiently(
    _ configuration: Configuration, clock: any Clock, random: any RandomSource, log: Logger, patience: Duration = .seconds(5)
  ) async throws -> SQLiteStore {
    let deadline = clock.monotonic().advanced(by: patience)
    while true {
      do {
        return try await open(configuration, clock: clock, random: random) { report($0, to: log) }
      } catch StoreError.unavailable(let reason) where reason.contains("in use") && clock.monotonic() < deadline {
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  /// One line for what the store tells.
  private static func report(_ notice: StoreNotice, to log: Logger) {
    switch notice {
    case .failed(let reason): log.error("store unavailable: mail is refused until it is whole", metadata: ["problem": "\(reason)"])
    case .recovered: log.notice("store available again")
    case .full: log.error("disk full: mail is refused, what frees space goes on")
    case .hasSpace: log.notice("disk has space again: mail is taken")
    case .damaged(let what): log.error("store damaged: \"martlet store verify\" tells more", metadata: ["problem": "\(what)"])
    case .lookupsBuiltAnew(let reason):
      log.warning("the look-ups of the trace are built anew; mail is not concerned", metadata: ["problem": "\(reason)"])
    case .longLog(let pages):
      log.warning("write-ahead log grows: some program reads the database without end", metadata: ["pages": "\(pages)"])
    }
  }
}
