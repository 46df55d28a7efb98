import Bytes
import Foundation
import InternetMessage
import Testing

/// The fuzzers' corpus as an ordinary test: every input, in every parser, in pieces too.
@Suite struct CorpusTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz/Corpus").standardized

  static func inputs() throws -> [[UInt8]] {
    let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: [.isRegularFileKey]))
    return try files.compactMap { $0 as? URL }.filter { !$0.hasDirectoryPath }.map { Array(try Data(contentsOf: $0)) }
  }

  @Test("every input that once mattered gives a result, the same however it is cut") func corpus() throws {
    let inputs = try Self.inputs()
    #expect(inputs.count > 20)
    for bytes in inputs {
      let whole = observe(bytes)
      for piece in [1, 2, 7] {
        let cut = observe(bytes, pieces: piece)
        #expect(cut.summary == whole.summary && cut.parts == whole.parts && cut.census == whole.census && cut.facts == whole.facts)
      }
      _ = AddressList(parsing: bytes)
      _ = EncodedWord.decode(bytes)
      _ = MailDate(parsing: bytes)
      _ = ParameterizedValue(parsing: bytes)
      _ = MessageIDs.parse(bytes)
      if let result = try? SevenBitDowngrade.convert(bytes) {
        // The message's own header stays as it is; a host that takes none in UTF-8 is not given it.
        let census = observe(result).census
        #expect(!census.hasEightBitBody && !census.isBinary)
      }
      var cursor = ByteCursor(bytes)
      _ = try? AddressParser(allowsUTF8: true).forwardPath(&cursor)
    }
  }
}
