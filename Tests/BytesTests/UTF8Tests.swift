import Bytes
import Testing

@Suite struct UTF8Tests {
  @Test("every scalar is taken whole, and agrees with the standard library") func scalars() {
    for value in stride(from: UInt32(0), through: 0x10_FFFF, by: 97) {
      guard let scalar = UnicodeScalar(value) else { continue }
      var cursor = ByteCursor(Array(String(scalar).utf8))
      #expect(cursor.takeUTF8() == value)
      #expect(cursor.isAtEnd)
    }
  }

  @Test("of two bytes exactly the valid ones are taken") func pairs() {
    for first in UInt8.min...UInt8.max {
      for second in UInt8.min...UInt8.max {
        var cursor = ByteCursor([first, second])
        let isValid = first < 0x80 || ((0xC2...0xDF).contains(first) && (0x80...0xBF).contains(second))
        #expect((cursor.takeUTF8() != nil) == isValid)
        if !isValid { #expect(cursor.position == 0) }
      }
    }
  }
}
