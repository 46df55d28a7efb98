import Bytes
import Testing

@Suite struct CodecTests {
  @Test(
    "base 64 of RFC 4648, 10",
    arguments: [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
  func base64(plain: String, encoded: String) {
    #expect(Base64.encode(Array(plain.utf8)) == Array(encoded.utf8))
    #expect(Base64.decodeStrict(Array(encoded.utf8)) == Array(plain.utf8))
  }

  @Test(
    "strict base 64 refuses what is not exact",
    arguments: ["=", "====", "Zg=", "Zg", "Z===", "Zh==", "Zm9=", "Zm9v\r\n", "Zm 9", "Zg==Zg==", "Z=g="])
  func strict(text: String) { #expect(Base64.decodeStrict(Array(text.utf8)) == nil) }

  @Test("forgiving base 64 reads what mail has, however it is cut") func forgiving() {
    for cut in 0...20 {
      let text = Array("Zm9v\r\nY!mE=Zm9v".utf8)
      var decoder = Base64Decoder()
      var output: [UInt8] = []
      decoder.decode(text[..<min(cut, text.count)], into: &output)
      decoder.decode(text[min(cut, text.count)...], into: &output)
      #expect(output == Array("foobafoo".utf8))
      #expect(decoder.strayBytes == 1)
    }
  }

  @Test("lines of base 64 have at most 76 characters and end in CRLF") func lines() {
    var encoder = Base64Encoder(lineLength: 76)
    var output: [UInt8] = []
    encoder.encode([UInt8](repeating: 7, count: 57)[...], into: &output)
    encoder.encode([UInt8](repeating: 7, count: 1)[...], into: &output)
    encoder.finish(into: &output)
    #expect(output.split(separator: 0x0A).map(\.count) == [77, 5])
    #expect(output.suffix(2) == [0x0D, 0x0A])
  }

  @Test(
    "quoted-printable is decoded as RFC 2045 says, and what breaks its rules is kept",
    arguments: [
      ("a=3D=C3=A9", "a=\u{E9}"), ("soft=\r\nbreak", "softbreak"), ("soft=  \r\nbreak", "softbreak"),
      ("trailing  \r\nx", "trailing\r\nx"),
      ("in  side", "in  side"), ("=zz=4", "=zz=4"), ("=3d", "="), ("end=", "end"), ("a=\nb", "ab"), ("= x", "= x"),
    ])
  func quotedPrintable(text: String, wanted: String) {
    for cut in 0...text.utf8.count {
      let bytes = Array(text.utf8)
      var decoder = QuotedPrintableDecoder()
      var output: [UInt8] = []
      decoder.decode(bytes[..<cut], into: &output)
      decoder.decode(bytes[cut...], into: &output)
      decoder.finish(into: &output)
      #expect(String(decoding: output, as: UTF8.self) == wanted, "\(text) cut at \(cut)")
    }
  }

  @Test("quoted-printable gives every text back and keeps its lines short") func roundTrip() {
    var state: UInt64 = 3
    for _ in 0..<300 {
      var bytes: [UInt8] = []
      for _ in 0..<200 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        switch state >> 60 {
        case 0: bytes += [0x0D, 0x0A]
        case 1: bytes.append(UInt8(truncatingIfNeeded: state >> 40))
        case 2: bytes.append(0x20)
        case 3: bytes.append(0x0D)
        default: bytes.append(0x61)
        }
      }
      var encoder = QuotedPrintableEncoder()
      var encoded: [UInt8] = []
      encoder.encode(bytes[..<77], into: &encoded)
      encoder.encode(bytes[77...], into: &encoded)
      encoder.finish(into: &encoded)
      #expect(encoded.split(separator: 0x0A, omittingEmptySubsequences: false).allSatisfy { $0.count <= 77 })
      #expect(encoded.allSatisfy { $0 < 0x80 })
      var decoder = QuotedPrintableDecoder()
      var decoded: [UInt8] = []
      decoder.decode(encoded[...], into: &decoded)
      decoder.finish(into: &decoded)
      #expect(decoded == bytes)
    }
  }

  @Test("a scan of eight bytes at a time sees every byte") func census() {
    for position in 0..<40 {
      for byte in [UInt8(0), 0x0D, 0x80, 0xFF, 0x8D] {
        var bytes = [UInt8](repeating: 0x61, count: 40)
        bytes[position] = byte
        let census = bytes.withUnsafeBytes { ByteScan.census($0) }
        #expect(census.hasNUL == (byte == 0))
        #expect(census.carriageReturns == (byte == 0x0D ? 1 : 0))
        #expect(census.hasEightBit == (byte >= 0x80))
        #expect(bytes.withUnsafeBytes { ByteScan.firstIndex(of: byte, in: $0) } == position)
      }
    }
    #expect([UInt8]().withUnsafeBytes { ByteScan.firstIndex(of: 1, in: $0) } == nil)
  }
}
