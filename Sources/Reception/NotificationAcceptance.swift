import InternetMessage
import MailModel
import Outside
import SMTP

extension Reception {
  /// Octets by which notifications may put a mailbox over its quota, so that who has too much mail hears of what failed: 1 MiB.
  /// Beyond it they are discarded, which the trace tells.
  public static let notificationGrace: Int64 = 1_048_576

  /// What makes a notification of ours durable: a copy in a mailbox here, or a queue entry. Neither where the recipient is nobody here:
  /// then only its trace is worth keeping.
  ///
  /// - Parameters:
  ///   - subject: the message it is about.
  ///   - due: when it may leave, by the schedule.
  public func acceptance(
    of recipient: EmailAddress, id: QueueID, subject: QueueID, stage: String, due: Timestamp, envelope: Envelope,
    observed: MessageObservation
  ) -> Acceptance {
    let now = clock.now()
    let judgement = judge(recipient: SMTPRecipient(address: recipient, notification: .init(notify: .never)), from: .ourselves)
    var trace = [
      TraceEvent(
        time: now, kind: .received, recipient: recipient.description,
        detail: [
          .init("notification", stage), .init("about", subject.description), .init("from", "<>"),
          .init("to", recipient.description),
        ] + (observed.summary.messageID.map { [.init("message-id", $0)] } ?? []))
    ]
    var acceptance = Acceptance(
      id: id, received: now, due: due, envelope: envelope, prefix: [], summary: observed.summary, census: observed.census)
    switch judgement {
    case .accept(let judged):
      acceptance.deliveries = judged.local.map {
        LocalDelivery(
          account: $0.account, recipient: $0.address, notification: .init(notify: .never), quotaGrace: Self.notificationGrace)
      }
      acceptance.recipients = judged.remote.map {
        QueuedRecipient(
          address: $0, notification: .init(notify: .never), destination: $0.asciiDomain ?? $0.domain, due: due)
      }
      // No notification goes out about a notification, so this is all that is said of them.
      for address in judged.undeliverable {
        trace.append(
          TraceEvent(
            time: now, kind: .discarded, recipient: address.description,
            detail: [.init("reason", "a notification for nobody: it stands for \(recipient), but can't take mail")]))
      }
    case .refuse(let reply, let reason):
      trace.append(
        TraceEvent(
          time: now, kind: .discarded, recipient: recipient.description,
          detail: [.init("reason", "a notification for nobody: \(reason)"), .init("reply", reply.description)]))
    }
    acceptance.trace = trace
    return acceptance
  }
}

extension Client {
  /// The server itself: may send anywhere.
  static var ourselves: Client {
    Client(remote: .unix(path: ""), local: .unix(path: ""), isTrusted: true, isProxy: false, mayUseXCLIENT: false)
  }
}
