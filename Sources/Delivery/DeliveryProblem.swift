import Bytes
import MailModel
import Outside
import SMTP

/// Why a recipient was not served this time: what queue, trace and notification say.
struct DeliveryProblem: Hashable, Sendable {
  /// The remote's exact reply; nil if it gave none, or we decided.
  var reply: SMTPReply?
  /// What we say ourselves, beginning with a code: `451 4.4.1 ...`.
  var reason: String
  /// The host's name, if one was reached or tried.
  var host: String?
  /// Its address, as text.
  var address: String?
  /// What the reply answered.
  var stage: SMTPClientStage?

  init(_ reason: String) { self.reason = reason }

  init(_ failure: SMTPClientFailure, host: String, endpoint: Endpoint) {
    reply = failure.reply
    reason = failure.reason
    stage = failure.stage
    self.host = host
    address = "\(endpoint)"
  }

  /// One line for people: who said what to which command.
  var text: String {
    guard let reply else { return reason }
    let answered = stage.map { " (in reply to \($0.rawValue))" } ?? ""
    return "\(host ?? "host")\(address.map { " [\($0)]" } ?? "") said: \(reply)\(answered)"
  }

  /// RFC 3463: the remote's enhanced code, or what its reply code comes to, or our own.
  func status(permanent: Bool) -> String {
    let kind = permanent ? 5 : 4
    if let reply {
      if let enhanced = reply.enhanced, enhanced.class != .success {
        return "\(permanent ? 5 : enhanced.class.rawValue == 5 ? 5 : 4).\(enhanced.subject).\(enhanced.detail)"
      }
      return "\(kind).0.0"
    }
    let words = reason.split(separator: " ", maxSplits: 2)
    guard words.count > 1, Self.isStatus(words[1]) else { return "\(kind).0.0" }
    return "\(kind)\(words[1].dropFirst())"
  }

  private static func isStatus(_ word: Substring) -> Bool {
    let numbers = word.split(separator: ".", omittingEmptySubsequences: false)
    return numbers.count == 3 && numbers.allSatisfy { !$0.isEmpty && $0.utf8.count <= 3 && $0.utf8.allSatisfy(\.isASCIIDigit) }
  }

  var details: [TraceEvent.Detail] {
    var result: [TraceEvent.Detail] = []
    if let host { result.append(.init("host", host)) }
    if let address { result.append(.init("address", address)) }
    if let stage { result.append(.init("stage", stage.rawValue)) }
    if let reply { result.append(.init("reply", "\(reply)")) } else { result.append(.init("reason", reason)) }
    return result
  }
}
