import Configuration
import Foundation
import MailModel
import Outside
import Testing

@testable import MartletServer

/// Administrative commands against the real store.
struct CommandTests {
  private let none = ByteCount(octets: 0)

  private func withStage(_ body: (CommandStage) async throws -> Void) async throws {
    let stage = try await CommandStage()
    do {
      try await body(stage)
    } catch {
      await stage.end()
      throw error
    }
    await stage.end()
  }

  private func json(_ output: CapturedOutput) throws -> [[String: Any]] {
    try #require(try JSONSerialization.jsonObject(with: Data(output.output)) as? [[String: Any]])
  }

  @Test("domains, accounts and aliases come, change and go")
  func directory() async throws {
    try await withStage { stage in
      try await stage.populate()
      try await stage.run(AddDomain(name: "B\u{FC}cher.test.", isRelay: true, quota: none, catchAll: nil))
      #expect(
        try json(try await stage.run(ListDomains(isJSON: true))).map { $0["name"] as? String } == [
          "example.test", "xn--bcher-kva.test",
        ])
      try await stage.run(
        AddAlias(address: "Sales@example.test", targets: ["alice@example.test,bob@example.test", "x@out.test"], replaces: false))
      let aliases = try json(try await stage.run(ListAliases(domain: nil, isJSON: true)))
      #expect(aliases.map { $0["address"] as? String } == ["sales@example.test"])
      #expect(aliases.first?["targets"] as? [String] == ["alice@example.test", "bob@example.test", "x@out.test"])
      try await stage.run(AddAlias(address: "@example.test", targets: ["bob@example.test"], replaces: false))
      #expect(try await stage.run(ListDomains(isJSON: false)).text.contains("bob@example.test"))
      try await stage.run(RemoveAlias(address: "@example.test"))
      try await stage.run(SetAccountEnabled(address: "bob@example.test", isEnabled: false))
      try await stage.run(SetAccountQuota(address: "BOB@example.test", quota: ByteCount(octets: 5_000_000)))
      let accounts = try await stage.run(ListAccounts(domain: "example.test", isJSON: false)).text.split(separator: "\n")
      #expect(accounts.count == 3)
      #expect(accounts.last?.contains("disabled") == true && accounts.last?.contains("5 MB") == true)
      try await stage.run(RemoveAlias(address: "sales@example.test"))
      for name in ["alice", "bob"] { try await stage.run(RemoveAccount(address: "\(name)@example.test", withMail: false)) }
      try await stage.run(RemoveDomain(name: "EXAMPLE.test"))
      #expect(try await stage.store.directory().domains.map(\.name) == ["xn--bcher-kva.test"])
    }
  }

  @Test("a list of accounts is judged whole before any is made, and may be given again")
  func accountList() async throws {
    try await withStage { stage in
      try await stage.populate()
      let hash = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"
      let names = (0..<250).map { "u\($0)@example.test" }
      let list =
        "# people\n\nU0@example.test,5MB,\(hash)\r\n" + names.dropFirst().joined(separator: "\n")
        + "\nalice@example.test\nu1@example.test\n"
      for (bad, told) in [
        ("nobody", "line 255: nobody is not an address"), ("x@out.test", "line 255: out.test is not a domain"),
        ("x@example.test,lots", "line 255: lots is not a size"), ("x@example.test,,secret", "line 255: the third field"),
      ] {
        let refusal = await stage.refusal(ImportAccounts(isJSON: false), input: list + bad)
        #expect(refusal?.hasPrefix(told) == true, "\(refusal ?? "taken")")
      }
      #expect(try await stage.store.directory().accounts.count == 2)
      #expect(
        try await stage.run(ImportAccounts(isJSON: false), input: list).text == "250 added, 2 were there already\n")
      #expect(
        try await stage.run(ImportAccounts(isJSON: false), input: list).text == "0 added, 252 were there already\n")
      let accounts = try await stage.store.directory().accounts
      let first = accounts.first { $0.address.localPart == "u0" }
      #expect(accounts.count == 252 && first?.quota == 5_000_000 && first?.passwordHash == hash)
      let many = (0..<1_800).map { "m\($0)@example.test\n" }.joined()
      try await stage.run(ImportAccounts(isJSON: true), input: many)
      let listed = try json(try await stage.run(ListAccounts(domain: nil, isJSON: true)))
      #expect(listed.count == 2_052 && listed.allSatisfy { $0["messages"] as? Int == 0 })
    }
  }

  @Test("an account's mail can be forwarded, with or without a copy; without, it is said")
  func forwarding() async throws {
    try await withStage { stage in
      try await stage.populate()
      let forwarded = try await stage.run(AddAlias(address: "alice@example.test", targets: ["x@out.test"], replaces: false))
      #expect(forwarded.errorText.contains("forwarded only"), "\(forwarded.errorText)")
      let kept = try await stage.run(
        AddAlias(address: "alice@example.test", targets: ["alice@example.test,x@out.test"], replaces: true))
      #expect(kept.errorText.isEmpty && kept.text.contains("alice@example.test -> alice@example.test, x@out.test"))
      #expect(
        await stage.refusal(AddAlias(address: "ghost@example.test", targets: ["ghost@example.test"], replaces: false))?
          .contains("loop") == true)
    }
  }

  @Test("a domain's update that says nothing is refused, a catch-all for nobody is warned of")
  func domainUpdates() async throws {
    try await withStage { stage in
      try await stage.populate()
      #expect(
        await stage.refusal(UpdateDomain(name: "example.test", quota: nil, catchAll: nil))?.contains("nothing to change") == true)
      let warned = try await stage.run(UpdateDomain(name: "example.test", quota: nil, catchAll: "ghost@example.test"))
      #expect(warned.errorText.contains("ghost@example.test can't take mail"), "\(warned.errorText)")
      let fine = try await stage.run(UpdateDomain(name: "example.test", quota: nil, catchAll: "bob@example.test"))
      #expect(fine.errorText.isEmpty)
    }
  }

  @Test("what makes no sense is refused with a reason")
  func refusals() async throws {
    try await withStage { stage in
      try await stage.populate()
      #expect(
        await stage.refusal(AddDomain(name: "exa mple", isRelay: false, quota: none, catchAll: nil))
          == "exa mple is not a domain name")
      #expect(await stage.refusal(AddDomain(name: "[127.0.0.1]", isRelay: false, quota: none, catchAll: nil)) != nil)
      #expect(
        await stage.refusal(AddDomain(name: "example.test", isRelay: true, quota: none, catchAll: nil))?.contains("exists already")
          == true)
      #expect(
        await stage.refusal(AddAccount(address: "a@other.test", quota: none, hasPassword: false))?.contains(
          "not a domain of this host") == true)
      #expect(
        await stage.refusal(AddAccount(address: "Alice@example.test", quota: none, hasPassword: false))
          == "alice@example.test is an account already")
      #expect(
        await stage.refusal(AddAccount(address: "x@example.test", quota: none, hasPassword: true))?.contains("without its hash")
          == true)
      #expect(
        await stage.refusal(RemoveDomain(name: "example.test"))
          == "example.test still has 2 accounts and 0 aliases; remove them first")
      #expect(await stage.refusal(SetAccountQuota(address: "x@example.test", quota: none)) == "no such account: x@example.test")
      try await stage.run(AddAlias(address: "a@example.test", targets: ["b@example.test"], replaces: false))
      #expect(
        await stage.refusal(AddAlias(address: "b@example.test", targets: ["a@example.test"], replaces: false))?.contains("loop")
          == true)
      #expect(
        await stage.refusal(AddAlias(address: "a@example.test", targets: ["x@y.test"], replaces: false))?.contains("--replace")
          == true)
      #expect(await stage.refusal(AddAlias(address: "c@example.test", targets: [","], replaces: false)) != nil)
      #expect(await stage.refusal(RemoveAlias(address: "c@example.test")) == "no such alias: c@example.test")
      #expect(
        await stage.refusal(ListMailboxes(account: "nobody@example.test", isJSON: true)) == "no such account: nobody@example.test")
      #expect(await stage.refusal(ShowQueued(id: "nothing", isJSON: false))?.contains("not a queue id") == true)
      #expect(await stage.refusal(ActOnQueue(deed: .hold, words: QueueWords(), meansAll: false))?.contains("--all") == true)
      #expect(
        await stage.refusal(ActOnQueue(deed: .reroute(to: "x"), words: QueueWords(), meansAll: true))?.contains("smtp://") == true)
    }
  }

  @Test("mailboxes are listed and read, byte for byte")
  func mailboxes() async throws {
    try await withStage { stage in
      try await stage.populate()
      let big = "Subject: two\r\n\r\n" + String(repeating: "0123456789abcdef\r\n", count: 150_000)
      try await stage.accept("Subject: one\r\n\r\nFrom here\r\n", id: 1)
      try await stage.accept(big, id: 2)
      let rows = try json(try await stage.run(ListMailboxes(account: "alice@example.test", isJSON: true)))
      #expect(rows.first?["name"] as? String == "INBOX")
      #expect(rows.first?["messages"] as? Int == 2)
      #expect(rows.first?["unseen"] as? Int == 2)
      let told = try await stage.run(ShowTrace(subject: QueueID(rawValue: 2).description, isJSON: false)).text
      #expect(told.contains("delivered   <alice@example.test>  mailbox=INBOX  uid=2"))
      let shown = try await stage.run(ShowMailbox(account: "alice@example.test", mailbox: "inbox", uid: 2, isJSON: false)).text
      #expect(shown == "Return-Path: <carol@example.net>\r\nDelivered-To: alice@example.test\r\nReceived: here\r\n" + big)
      #expect(
        rows.first?["size"] as? Int
          == (try json(try await stage.run(ShowMailbox(account: "alice@example.test", mailbox: "INBOX", uid: nil, isJSON: true))))
          .reduce(0) { $0 + ($1["size"] as? Int ?? 0) })
      #expect(
        await stage.refusal(ShowMailbox(account: "alice@example.test", mailbox: "INBOX", uid: 3, isJSON: false))
          == "INBOX has no message 3")
      #expect(await stage.refusal(ShowMailbox(account: "alice@example.test", mailbox: "Nowhere", uid: nil, isJSON: false)) != nil)
      #expect(
        await stage.refusal(RemoveAccount(address: "alice@example.test", withMail: false))?.contains("holds 2 messages") == true)
    }
  }

  @Test("an export holds every message as FETCH gives it")
  func exports() async throws {
    try await withStage { stage in
      try await stage.populate()
      try await stage.accept("Subject: one\r\n\r\nFrom here\r\n", id: 1)
      try await stage.accept("Subject: two\r\n\r\nx", id: 2)
      let head = "Return-Path: <carol@example.net>\r\nDelivered-To: alice@example.test\r\nReceived: here\r\n"
      let maildir = try await stage.run(ExportMaildir(account: "alice@example.test", layout: .maildirPlusPlus, mailbox: nil))
      let data = maildir.files.compactMap { if case .data(let bytes) = $0 { String(decoding: bytes, as: UTF8.self) } else { nil } }
        .joined()
      #expect(data.hasPrefix(head + "Subject: one\r\n\r\nFrom here\r\n" + head + "Subject: two\r\n\r\nx"))
      #expect(maildir.files.contains(.folder(path: ".Sent/cur")))
      #expect(maildir.reports.last == AdminProgress(done: 2, total: 2, what: "exported", isLast: true))
      let mbox = try await stage.run(ExportMbox(account: "alice@example.test", mailbox: "INBOX", toOutput: true)).text
      let separator = try #require(mbox.split(separator: "\n").first)
      #expect(separator.hasPrefix("From carol@example.net "))
      #expect(mbox.contains("\n" + head + "Subject: one\r\n\r\n>From here\r\n\nFrom carol@example.net "))
      #expect(mbox.hasSuffix("\r\n\r\nx\n\n"))
    }
  }

  @Test("the queue is listed in the promised shape, and acted on")
  func queue() async throws {
    try await withStage { stage in
      try await stage.populate()
      try await stage.accept("Subject: out\r\n\r\n", id: 77, delivers: false, queued: ["x", "y"])
      let rows = try json(try await stage.run(ListQueue(words: QueueWords(), isJSON: true)))
      let row = try #require(rows.first)
      #expect(Set(row.keys) == ["id", "sender", "received", "size", "recipients"])
      #expect(row["sender"] as? String == "carol@example.net")
      let recipients = try #require(row["recipients"] as? [[String: Any]])
      #expect(
        recipients.map { Set($0.keys) } == Array(repeating: ["address", "state", "attempts", "nextAttempt", "lastReply"], count: 2))
      #expect(recipients.map { $0["state"] as? String } == ["waiting", "waiting"])
      let held = try await stage.run(ActOnQueue(deed: .hold, words: QueueWords(recipient: "<x@example.org>"), meansAll: false))
      #expect(held.text == "1 recipient held\n")
      #expect(try await stage.run(CountQueue(isJSON: false)).text == "1 messages; recipients: 1 waiting, 1 held, 0 active\n")
      let id = QueueID(rawValue: 77).description
      #expect(try await stage.run(ShowQueued(id: id, isJSON: false)).text.contains("y@example.org"))
      let trace = try await stage.run(ShowTrace(subject: id.uppercased(), isJSON: false)).text
      #expect(trace.contains("received") && trace.contains("client=127.0.0.1") && trace.contains("\\x0a"))
      let found = try json(try await stage.run(ShowTrace(subject: "x@example.org", isJSON: true)))
      #expect(found.map { $0["id"] as? String } == [id])
      #expect(
        await stage.refusal(ShowTrace(subject: "z@example.org", isJSON: false)) == "no message of or for z@example.org is known")
      #expect(await stage.refusal(ShowTrace(subject: "nonsense", isJSON: false))?.contains("neither") == true)
      try await stage.run(ActOnQueue(deed: .remove, words: QueueWords(domain: "example.org"), meansAll: false))
      #expect(try await stage.run(ListQueue(words: QueueWords(), isJSON: false)).text == "the queue is empty\n")
      let others = QueueWords(sender: "<>", recipient: "<x@example.org>")
      #expect(try await stage.run(ListQueue(words: others, isJSON: false)).text == "nothing in the queue matches\n")
      for words in [QueueWords(sender: "notaddr"), QueueWords(recipient: "notaddr")] {
        #expect(await stage.refusal(ListQueue(words: words, isJSON: false))?.hasPrefix("notaddr is not an address") == true)
      }
      #expect(
        await stage.refusal(ActOnQueue(deed: .retry, words: QueueWords(ids: [id]), meansAll: false))
          == "nothing in the queue matches")
    }
  }

  @Test("statistics tell what waits by destination, the most first, each second if one watches")
  func stats() async throws {
    try await withStage { stage in
      try await stage.populate()
      for number in 1...7 {
        try await stage.accept(
          "Subject: out\r\n\r\n", id: UInt64(number) << 32, delivers: false, queued: ["x", "y"],
          domain: number <= 4 ? "many.test" : "few\(number).test")
      }
      try await stage.run(ActOnQueue(deed: .hold, words: QueueWords(domain: "few5.test"), meansAll: false))
      let all = try await stage.run(ShowQueueStats(top: 20, watches: false, isJSON: true))
      let answer = try #require(try JSONSerialization.jsonObject(with: Data(all.output)) as? [String: Any])
      #expect(answer["queued"] as? Int == 14 && answer["destinations"] as? Int == 4 && answer["others"] as? Int == 0)
      let rows = try #require(answer["rows"] as? [[String: Any]])
      #expect(rows.map { $0["destination"] as? String } == ["many.test", "few5.test", "few6.test", "few7.test"])
      #expect(rows.map { $0["queued"] as? Int } == [8, 2, 2, 2] && rows.map { $0["held"] as? Int } == [0, 2, 0, 0])
      #expect(rows[0]["oldest"] as? String == QueueID(rawValue: 1 << 32).time.iso8601)
      #expect(rows[0]["nextAttempt"] != nil && rows[1]["nextAttempt"] == nil)
      let table = try await stage.run(ShowQueueStats(top: 1, watches: false, isJSON: false)).text
      #expect(table.hasPrefix("14 recipients queued for 4 destinations\nDESTINATION  QUEUED"))
      #expect(table.contains("\nmany.test ") && !table.contains("few5") && table.hasSuffix("and 3 destinations more\n"))
      let watched = CapturedOutput()
      watched.pausesLeft = 2
      do throws(AdminFailure) {
        try await stage.run(ShowQueueStats(top: 5, watches: true, isJSON: false), output: watched)
        #expect(Bool(false), "it ended by itself")
      } catch {
        #expect(error == AdminFailure("nobody listens"))
      }
      #expect(watched.pages.count == 3 && watched.pages.allSatisfy { $0.contains("many.test") })
    }
  }

  @Test("draining needs a server")
  func drain() async throws {
    try await withStage { stage in
      #expect(
        await stage.refusal(DrainServer(isOff: false, waits: false, isJSON: false)) == "no server runs: nothing takes mail")
    }
  }

  @Test("a long queue is told in pieces that make one array or one table, and acted on in parts")
  func longQueue() async throws {
    try await withStage { stage in
      try await stage.populate()
      let count = ListQueue.page * 2 + 300
      for number in 1...count {
        let name = number == count ? "somebody-with-a-long-name" : "x\(number)"
        try await stage.accept("Subject: out\r\n\r\n", id: UInt64(number), delivers: false, queued: [name])
      }
      let listed = try await stage.run(ListQueue(words: QueueWords(), isJSON: true))
      #expect(listed.pieces == 4)
      let rows = try json(listed)
      #expect(rows.compactMap { $0["id"] as? String } == (1...count).map { QueueID(rawValue: UInt64($0)).description })
      // As it is written in one piece.
      let whole =
        try await stage.store.queue(matching: QueueSelection(), after: nil, limit: count)
        + stage.store.queue(matching: QueueSelection(), after: QueueID(rawValue: 1_000), limit: count)
      #expect(listed.output == (try JSONPieces.encoded(whole.map { QueueRow($0, clock: SystemClock()) })) + [0x0A])
      let table = try await stage.run(ListQueue(words: QueueWords(), isJSON: false))
      let lines = table.text.split(separator: "\n")
      #expect(lines.count == count + 1 && table.pieces == 3)
      #expect(lines.count { $0.hasPrefix("ID") } == 1)
      #expect(lines.last?.contains("somebody-with-a-long-name@example.org  waiting") == true)
      let none = try await stage.run(ListQueue(words: QueueWords(recipient: "nobody@example.org"), isJSON: true))
      #expect(none.output == (try JSONPieces.encoded([QueueRow]())) + [0x0A])
      let held = try await stage.run(ActOnQueue(deed: .hold, words: QueueWords(), meansAll: true))
      #expect(held.text == "\(count) recipients held\n")
      let removed = try await stage.run(ActOnQueue(deed: .remove, words: QueueWords(), meansAll: true))
      #expect(removed.text == "\(count) recipients removed\n")
    }
  }

  @Test("verify and compact tell what they did")
  func care() async throws {
    try await withStage { stage in
      try await stage.populate()
      try await stage.accept("Subject: one\r\n\r\n", id: 1)
      #expect(try await stage.run(VerifyStore(isJSON: false)).text.hasSuffix("no problems\n"))
      #expect(try await stage.run(CompactStore()).text.hasSuffix("freed\n"))
    }
  }
}
