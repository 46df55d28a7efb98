import ArgumentParser
import Configuration
import MartletServer

extension ByteCount: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

extension ExportMaildir.Layout: ExpressibleByArgument {}

/// Options that select what of the queue is meant.
struct QueueOptions: ParsableArguments {
  @Argument(help: "Queue ids.")
  var ids: [String] = []

  @Option(name: .long, help: "Messages of this sender.")
  var sender: String?

  @Option(name: .long, help: "This recipient.")
  var recipient: String?

  @Option(name: .long, help: "Recipients of this domain.")
  var domain: String?

  var words: QueueWords { QueueWords(ids: ids, sender: sender, recipient: recipient, domain: domain) }
}
