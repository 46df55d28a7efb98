import Bytes
import DNSTypes
import Testing

@testable import MessageAuthentication

@Suite struct KeyTests {
  @Test("keys survive PEM, and their records their text") func roundTrips() throws {
    for key in [try TestKeys.rsa.get(), try TestKeys.ed25519.get(), try .makeEd25519(), try .makeRSA(bits: 1_024)] {
      let pem = try #require(key.pem)
      #expect(string(pem).hasPrefix("-----BEGIN PRIVATE KEY-----\n") && string(pem).hasSuffix("-----END PRIVATE KEY-----\n"))
      let again = try DKIMPrivateKey(pem: pem)
      let record = try #require(key.record)
      #expect(again.record == record && again.bits == key.bits && again.algorithm == key.algorithm)
      #expect(try DKIMKeyRecord(parsing: Array(record.text.utf8)) == record)
      let hash = [UInt8](repeating: 1, count: 32)
      let signature = try #require(again.sign(hash: hash))
      #expect(try #require(DKIMPublicKey(record)).verify(signature, hash: hash))
      #expect(!(try #require(DKIMPublicKey(record)).verify(signature, hash: [UInt8](repeating: 2, count: 32))))
    }
    #expect(try TestKeys.rsa.get().bits == 2_048 && "\(try TestKeys.rsa.get())" == "RSA key of 2048 bits")
  }

  @Test(
    "what is no key of ours is refused",
    arguments: ["", "-----BEGIN PRIVATE KEY-----\n", "x", String(repeating: "A", count: 100_000)])
  func noKeys(text: String) { #expect(throws: DKIMKeyError.unreadable) { try DKIMPrivateKey(pem: Array(text.utf8)) } }

  @Test("keys of other kinds and sizes are refused") func otherKeys() throws {
    // openssl ecparam -genkey -name prime256v1; openssl genrsa 512; a key with a passphrase.
    #expect(throws: DKIMKeyError.unreadable) { try DKIMPrivateKey(pem: Array(OtherKeys.p256.utf8)) }
    #expect(throws: DKIMKeyError.size(bits: 512)) { try DKIMPrivateKey(pem: Array(OtherKeys.rsa512.utf8)) }
    #expect(throws: DKIMKeyError.unreadable) { try DKIMPrivateKey(pem: Array(OtherKeys.encrypted.utf8)) }
    #expect(throws: DKIMKeyError.size(bits: 512)) { try DKIMPrivateKey.makeRSA(bits: 512) }
    #expect(throws: DKIMKeyError.unreadable) { try DKIMPrivateKey(ed25519: [1, 2, 3]) }
  }

  @Test("a record in a zone file: strings of at most 255 octets") func zoneFile() throws {
    let selector = try name("s1")
    let domain = try name("example.org")
    let short = try #require(try TestKeys.ed25519.get().record).zoneFile(selector: selector, domain: domain)
    #expect(
      short == "s1._domainkey.example.org. IN TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n")
    let record = try #require(try TestKeys.rsa.get().record)
    let long = record.zoneFile(selector: selector, domain: domain)
    let strings = long.split(separator: "\"").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    #expect(strings.count == 2 && strings.allSatisfy { $0.utf8.count <= 255 } && strings.joined() == record.text)
    #expect(long.hasPrefix("s1._domainkey.example.org. IN TXT (\n  \"v=DKIM1; k=rsa; p="))
  }

  @Test("records as they are found") func records() throws {
    func read(_ text: String) throws -> DKIMKeyRecord { try DKIMKeyRecord(parsing: Array(text.utf8)) }
    #expect(try read("p=").isRevoked && read("v=DKIM1; p=;").isRevoked)
    let full = try read(" v = DKIM1 ;h=sha1 : sha256; k=RSA; n=a=20note; s=email:other; t=y : s; x=unknown; p = AAAA\r\n BBBB ; ")
    #expect(full.allowsSHA256 && full.isForMail && full.isTesting && full.isStrict && full.publicKey.count == 6)
    #expect(string(full.notes) == "a note" && full.keyType == .rsa)
    #expect(try !read("h=sha1;p=AAAA").allowsSHA256 && !read("s=tlsrpt;p=AAAA").isForMail && read("s=*;p=AAAA").isForMail)
  }

  @Test(
    "what is no record throws",
    arguments: [
      "", ";", "v=DKIM1", "v=DKIM2; p=AAAA", "p=AAAA; v=DKIM1", "v=spf1 -all", "p=AAA", "p=!", "p=AAAA; p=BBBB", "k=dsa; p=AAAA",
      "=x", "p",
      "1=2; p=AAAA", "p=AA\u{0}A", "p=AAAA;;k=rsa", "v=DMARC1; p=none",
    ])
  func noRecords(text: String) { #expect(throws: DKIMSyntaxError.self) { try DKIMKeyRecord(parsing: Array(text.utf8)) } }

  @Test("HOSTILE 33: a record of 64 KiB, or of a thousand tags, is not read") func longRecords() {
    #expect(throws: DKIMSyntaxError.self) { try DKIMKeyRecord(parsing: Array(("p=" + String(repeating: "A", count: 65_536)).utf8)) }
    let tags = (0..<1_000).map { "a\($0)=b;" }.joined()
    #expect(throws: DKIMSyntaxError.self) { try DKIMKeyRecord(parsing: Array((tags + "p=AAAA").utf8)) }
  }
}
