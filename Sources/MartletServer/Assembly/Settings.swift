import Configuration
import Delivery
import InternetMessage
import MailStore
import Outside
import Overload
import Reception
import Routing
import SMTP
import Sessions

/// Turns the configuration into what each part goes by. Pure.
enum Settings {
  static func reception(_ configuration: Configuration) -> ReceptionPolicy {
    ReceptionPolicy(
      hostname: configuration.hostname, trusted: configuration.trust.networks, proxies: configuration.trust.proxy,
      xclients: configuration.trust.xclient, hops: configuration.limits.hops)
  }

  static func overload(_ configuration: Configuration) -> OverloadLimits {
    let limits = configuration.limits
    return OverloadLimits(
      connectionsPerClient: limits.connectionsPerClient, connections: limits.connections,
      messagesPerClientPerMinute: limits.messagesPerClientPerMinute)
  }

  static func service(_ listener: Configuration.Listener, _ configuration: Configuration, offersTLS: Bool) -> SMTPService {
    var extensions = SMTPService.Extensions.standard
    if offersTLS, listener.security == .starttls { extensions.insert(.startTLS) }
    return SMTPService(
      dialect: listener.service == .lmtp ? .lmtp : .smtp, hostname: configuration.hostname, extensions: extensions,
      limits: smtp(configuration.limits), softBounces: configuration.queue.softBounces)
  }

  static func smtp(_ limits: Configuration.Limits) -> SMTPLimits {
    var result = SMTPLimits()
    result.messageSize = UInt64(clamping: limits.messageSize.octets)
    result.recipients = limits.recipients == 0 ? .max : limits.recipients
    result.messages = limits.messagesPerConnection
    result.badRecipients = limits.unknownRecipients
    result.badCommands = limits.errors == 0 ? .max : limits.errors
    result.commandLine = limits.commandLine.octets == 0 ? 1 << 20 : Int(clamping: limits.commandLine.octets)
    result.discardedLine = limits.discardedInput.octets == 0 ? 1 << 30 : Int(clamping: limits.discardedInput.octets)
    return result
  }

  static func session(_ configuration: Configuration) -> SessionLimits {
    let limits = configuration.limits
    var result = SessionLimits()
    result.command = unlimited(limits.commandTimeout)
    result.message = unlimited(limits.dataTimeout)
    result.session = unlimited(limits.sessionDuration)
    result.minimumRate = UInt64(clamping: limits.minimumRate.octets)
    result.rateGrace = limits.minimumRateGrace
    result.content = content(limits)
    return result
  }

  /// 0 means without a bound; 10^9 is as good as that, since a message is bounded itself.
  private static func content(_ limits: Configuration.Limits) -> MessageLimits {
    func bounded(_ number: Int) -> Int { number > 0 ? min(number, 1_000_000_000) : 1_000_000_000 }
    var result = MessageLimits()
    result.headerOctets = bounded(limits.headerSize.count)
    result.fields = bounded(limits.headerFields)
    result.fieldOctets = bounded(limits.headerFieldSize.count)
    result.depth = bounded(limits.mimeDepth)
    result.parts = bounded(limits.mimeParts)
    return result
  }

  /// 0 means without a bound; ten years are as good as that.
  private static func unlimited(_ duration: Duration) -> Duration { duration > .zero ? duration : .seconds(315_360_000) }

  static func serverLimits(_ configuration: Configuration) -> ServerLimits {
    var limits = ServerLimits()
    // Above the cap of `Overload`, which answers with a reason and sheds the idle.
    limits.connections = configuration.limits.connections == 0 ? .max : configuration.limits.connections.addedClamped(1_000)
    return limits
  }

  static func store(_ configuration: Configuration) -> SQLiteStore.Options {
    var options = SQLiteStore.Options(folder: configuration.data)
    options.limits.ballast = Int64(clamping: configuration.store.reserve.octets)
    options.limits.traceAge = Int(clamping: configuration.store.traceRetention.components.seconds)
    // 0 means without a bound.
    options.limits.traceSize = configuration.store.traceSize.octets > 0 ? configuration.store.traceSize.octets : .max
    return options
  }
}
