import Configuration
import MailStore
import Outside

/// Opens the store of a configuration: the server does, and the command line when no server runs.
public enum StoreOpening {
  /// Opens the store in the data folder (made if it is missing), taking its lock.
  ///
  /// Throws `StoreError.unavailable` naming the process that has it.
  public static func open(
    _ configuration: Configuration, clock: any Clock = SystemClock(), random: any RandomSource = SystemRandom()
  ) async throws -> SQLiteStore {
    let disk = KernelDisk(folder: configuration.data)
    return try await SQLiteStore.open(
      Settings.store(configuration),
      in: SQLiteStore.Surroundings(disk: disk, clock: clock, random: random, workers: ThreadWorkerProvider()))
  }

  /// As `open`, and waits up to `patience` while another process has the store: a command that ends soon, mostly.
  static func openPatiently(
    _ configuration: Configuration, clock: any Clock, random: any RandomSource, patience: Duration = .seconds(5)
  ) async throws -> SQLiteStore {
    let deadline = clock.monotonic().advanced(by: patience)
    while true {
      do {
        return try await open(configuration, clock: clock, random: random)
      } catch StoreError.unavailable(let reason) where reason.contains("in use") && clock.monotonic() < deadline {
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }
}
