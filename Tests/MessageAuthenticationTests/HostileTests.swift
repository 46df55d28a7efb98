import Bytes
import Foundation
import Testing

@testable import MessageAuthentication

@Suite struct HostileTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz/Corpus/DKIM").standardized

  /// Everything that takes bytes, on these.
  static func readAll(_ bytes: [UInt8]) {
    _ = try? DKIMSignature(parsing: bytes)
    _ = try? DKIMKeyRecord(parsing: bytes)
    _ = try? DKIMPrivateKey(pem: bytes)
    _ = DKIMPublicKey(DKIMKeyRecord(keyType: .rsa, publicKey: bytes))
    _ = DKIMPublicKey(DKIMKeyRecord(keyType: .ed25519, publicKey: bytes))
    let whole = verify(bytes, record: RFC8463Tests.edRecord)
    #expect(whole == verify(bytes, record: RFC8463Tests.edRecord, piece: 5) && !whole.isEmpty)
  }

  @Test("the fuzzer's corpus gives results") func corpus() throws {
    let files = try FileManager.default.contentsOfDirectory(at: Self.folder, includingPropertiesForKeys: nil)
    #expect(files.count >= 6)
    for file in files { Self.readAll(Array(try Data(contentsOf: file))) }
  }

  @Test("a signed message cut off, or with any octet another, gives verdicts and traps nowhere") func mutations() throws {
    var state: UInt64 = 7
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let seeds = [RFC8463Tests.message, RFC6376Tests.message, Array(RFC8463Tests.rsaRecord.utf8)]
    for seed in seeds {
      for end in stride(from: 0, to: seed.count, by: 7) { Self.readAll(Array(seed[..<end])) }
      for _ in 0..<500 {
        var bytes = seed
        for _ in 0..<next(4) + 1 { bytes[next(bytes.count)] = UInt8(next(256)) }
        if next(3) == 0 { bytes.removeSubrange(next(bytes.count / 2)..<bytes.count / 2) }
        Self.readAll(bytes)
      }
    }
  }

  @Test("a signature of another length than its key's is no pass", arguments: [1, 63, 64, 65, 127, 128, 129, 256, 1_024])
  func signatureLengths(count: Int) throws {
    let hash = [UInt8](repeating: 1, count: 32)
    for key in [try TestKeys.rsa.get(), try TestKeys.ed25519.get()] {
      let record = try #require(key.record)
      for byte in [UInt8(0), 1, 0xFF] {
        #expect(DKIMPublicKey(record)?.verify([UInt8](repeating: byte, count: count), hash: hash) == false)
      }
    }
  }
}
