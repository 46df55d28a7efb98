import Foundation
import Glibc
import Identity
import MartletServer

/// Takes a password from standard input and turns it into its hash, so that it goes no further than this process.
enum PasswordReader {
  /// The first line of standard input; on a terminal it is asked for twice, without echo.
  static func hash() throws(AdminFailure) -> [UInt8] {
    let password = isatty(STDIN_FILENO) == 1 ? try ask() : try line()
    do throws(PasswordHash.Problem) {
      return Array(try PasswordHash.make(of: password, random: SystemRandom()).utf8)
    } catch {
      switch error {
      case .empty: throw AdminFailure("the password is empty")
      case .tooLong(let limit): throw AdminFailure("the password is longer than \(limit) bytes")
      case .failed(let reason): throw AdminFailure("the password can't be hashed: \(reason)")
      }
    }
  }

  private static func line() throws(AdminFailure) -> [UInt8] {
    guard let text = readLine(strippingNewline: true) else { throw AdminFailure("no password on standard input") }
    return Array(text.utf8)
  }

  private static func ask() throws(AdminFailure) -> [UInt8] {
    func prompt(_ text: String) -> [UInt8]? { getpass(text).map { Array(String(cString: $0).utf8) } }
    guard let first = prompt("Password: "), let second = prompt("Once more: ") else { throw AdminFailure("no terminal to ask on") }
    guard first == second else { throw AdminFailure("the two passwords differ") }
    return first
  }
}
