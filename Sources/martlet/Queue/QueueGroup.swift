import ArgumentParser

/// `martlet queue`
struct QueueGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "queue", abstract: "Mail that waits to leave.",
    discussion: """
      Soft-bounce mode, in which nothing is returned, is no command but a setting: [queue] soft-bounce in the configuration, which SIGHUP \
      applies.
      """,
    subcommands: [
      QueueList.self, QueueShow.self, QueueRetry.self, QueueHold.self, QueueRelease.self, QueueRemove.self, QueueReroute.self,
      QueueFlush.self, QueueCountsCommand.self, QueueStats.self, QueueSoftBounce.self,
    ])
}
