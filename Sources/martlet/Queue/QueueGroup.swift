import ArgumentParser

/// `martlet queue`
struct QueueGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "queue", abstract: "Mail that waits to leave.",
    subcommands: [
      QueueList.self, QueueShow.self, QueueRetry.self, QueueHold.self, QueueRelease.self, QueueRemove.self, QueueReroute.self,
      QueueFlush.self, QueueCountsCommand.self, QueueStats.self,
    ])
}
