import Configuration
import Foundation
import Glibc
import Logging
import MailStore
import MartletServer
import Outside

/// The process that serves: starts the server, follows signals, ends it.
enum ServerProcess {
  /// Runs until the process ends.
  static func run(_ file: ConfigurationFile, sockets: [ListeningSocket], notes: SharedNotes? = nil) -> Never {
    HeapSettings.apply()
    let signals = ProcessSignals()
    // On a thread that is there: the runtime's own pool may get none when one is needed, and then no signal would be followed.
    Task.detached(executorPreference: WorkerExecutor(ThreadWorker(named: "main"))) {
      let code = await serve(file, sockets, notes, signals)
      exit(code)
    }
    park()
  }

  /// Leaves the process to its other threads. Not `dispatchMain`: on Linux it waits with every signal unblocked, so that this thread
  /// would take, by dying of it, what the thread of `ProcessSignals` waits for.
  static func park() -> Never {
    while true { pause() }
  }

  private static func serve(
    _ file: ConfigurationFile, _ sockets: [ListeningSocket], _ notes: SharedNotes?, _ signals: ProcessSignals
  ) async -> CInt {
    let configuration = file.configuration
    let writer: LogWriter
    do throws(LogError) {
      writer = try LogWriter(path: configuration.log.file)
    } catch {
      Console.error("martlet: \(error)")
      return 73
    }
    let threshold = LogThreshold(ServerLog.level(configuration.log))
    let log = ServerLog.logger(configuration.log, writer: writer, threshold: threshold)
    defer { writer.flush() }
    do {
      let server = try await Server.start(configuration, sockets: sockets, notes: notes ?? NoParsingNotes(), log: log)
      let control = try await server.startControl(parse: Martlet.parse)
      log.notice(
        "started",
        metadata: ["version": "\(MartletVersion.text)", "hostname": "\(configuration.hostname)", "process": "\(getpid())"])
      await follow(signals, server, file.path, writer, threshold, log)
      await control.stop()
      await server.close()
      return 0
    } catch {
      // Not 75: the supervisor would take that for a crash and start again.
      let text = (error as? StoreError).map { AdminFailure($0).message } ?? "\(error)"
      log.critical("can't start", metadata: ["problem": "\(text)"])
      writer.flush()
      if !configuration.log.file.isEmpty { Console.error("martlet: can't start: \(text)") }
      return 1
    }
  }

  /// Reloads at SIGHUP; returns at SIGTERM or SIGINT.
  private static func follow(
    _ signals: ProcessSignals, _ server: Server, _ path: String, _ writer: LogWriter, _ threshold: LogThreshold, _ log: Logger
  ) async {
    while true {
      switch await signals.next() {
      case .terminate:
        log.notice("ending")
        return
      case .reload: await reload(server, path, writer, threshold, log)
      }
    }
  }

  private static func reload(
    _ server: Server, _ path: String, _ writer: LogWriter, _ threshold: LogThreshold, _ log: Logger
  ) async {
    do {
      try writer.reopen()
    } catch {
      log.error("the log stays as it was", metadata: ["problem": "\(error)"])
    }
    do {
      try await server.reload(try ConfigurationFile(path: path).configuration)
      threshold.level = ServerLog.level(server.configuration.log)
    } catch {
      for line in "\(error)".split(separator: "\n") {
        log.error("configuration not reloaded, the old one stays", metadata: ["problem": "\(line)"])
      }
    }
  }
}

/// The log as `[log]` wants it.
enum ServerLog {
  static func level(_ settings: Configuration.Log) -> Logger.Level { Logger.Level(rawValue: settings.level.rawValue) ?? .info }

  static func logger(_ settings: Configuration.Log, writer: LogWriter, threshold: LogThreshold? = nil) -> Logger {
    let threshold = threshold ?? LogThreshold(level(settings))
    let format: LineLogHandler.Format = settings.format == .json ? .json : .text
    return Logger(label: "martlet") { _ in LineLogHandler(writer: writer, threshold: threshold, format: format) }
  }
}
