#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Fast search in raw bytes. memchr finds the lines of a message at several GB/s; a loop in Swift reaches a tenth of it.
enum ByteScan {
  /// The first index at or behind `start` that holds `byte`; nil if there is none, or `start` is not inside.
  @inline(__always)
  static func firstIndex(of byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int = 0) -> Int? {
    guard let base = bytes.baseAddress, start >= 0, start < bytes.count else { return nil }
    guard let found = memchr(base + start, Int32(byte), bytes.count - start) else { return nil }
    return UnsafeRawPointer(found) - base
  }
}
