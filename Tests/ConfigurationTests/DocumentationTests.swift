import Configuration
import Foundation
import Testing

/// `docs/configuration.md` against what the parser knows.
struct DocumentationTests {
  private func document() throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: "docs/configuration.md"), encoding: .utf8)
  }

  @Test("docs/configuration.md has a row for every key and for nothing else")
  func everyKey() throws {
    let rows = try document().split(separator: "\n").filter { $0.hasPrefix("| `") }
    let documented = rows.compactMap { row in row.dropFirst(3).firstIndex(of: "`").map { String(row.dropFirst(3)[..<$0]) } }
    #expect(documented.sorted() == Configuration.knownKeys)
  }

  @Test("the smallest file of the document is read")
  func example() throws {
    let text = try document()
    let start = try #require(text.range(of: "```toml\n"))
    let end = try #require(text.range(of: "```", range: start.upperBound..<text.endIndex))
    #expect(try Configuration.parse(String(text[start.upperBound..<end.lowerBound]), file: "martlet.toml").listeners.count == 1)
  }
}
