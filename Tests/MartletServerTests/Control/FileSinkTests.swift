import Foundation
import Outside
import Testing

@testable import MartletServer

struct FileSinkTests {
  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  @Test("a file appears whole, with its bytes and its date")
  func writes() throws {
    try withFolder { folder in
      let sink = FileSink(root: folder + "/new/deep")
      try sink.checkEmpty()
      try sink.act(.folder(path: "cur"))
      try sink.act(.begin(path: "cur/1", modified: Timestamp(seconds: 1_000_000_000)))
      try sink.act(.data(Array("one ".utf8)))
      #expect(!FileManager.default.fileExists(atPath: folder + "/new/deep/cur/1"))
      try sink.act(.data(Array("two".utf8)))
      try sink.act(.end)
      #expect(try String(contentsOfFile: folder + "/new/deep/cur/1", encoding: .utf8) == "one two")
      let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/new/deep/cur/1")
      #expect((attributes[.modificationDate] as? Date)?.timeIntervalSince1970 == 1_000_000_000)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/new/deep/cur") == ["1"])
    }
  }

  @Test("names that lead elsewhere are refused", arguments: ["/etc/x", "../x", "a/../../x", "a/..", "a\u{0}b"])
  func escapes(path: String) throws {
    try withFolder { folder in
      let sink = FileSink(root: folder + "/root")
      #expect(throws: AdminFailure.self) { try sink.act(.begin(path: path, modified: nil)) }
      #expect(throws: AdminFailure.self) { try sink.act(.folder(path: path)) }
    }
  }

  @Test("nothing is replaced: neither a file nor a folder with something in it")
  func replacesNothing() throws {
    try withFolder { folder in
      try "old".write(toFile: folder + "/present", atomically: true, encoding: .utf8)
      #expect(throws: AdminFailure.self) { try FileSink(root: folder).checkEmpty() }
      #expect(throws: AdminFailure.self) { try FileSink(root: folder + "/present", isSingleFile: true).checkEmpty() }
      let sink = FileSink(root: folder)
      try sink.act(.begin(path: "present", modified: nil))
      #expect(throws: AdminFailure.self) { try sink.act(.end) }
      #expect(try String(contentsOfFile: folder + "/present", encoding: .utf8) == "old")
    }
  }

  @Test("a file that is not finished leaves nothing behind")
  func abandoned() throws {
    try withFolder { folder in
      do {
        let sink = FileSink(root: folder)
        try sink.act(.begin(path: "half", modified: nil))
        try sink.act(.data([1, 2, 3]))
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }
}
