import Glibc
import Testing

@testable import MartletServer

@Suite struct PrivilegesTests {
  @Test("root becomes the user for good; an unknown one and root itself are refused with a reason", .enabled(if: Privileges.isRoot))
  func becomes() throws {
    do throws(PrivilegeError) {
      try Privileges.become("nobody-of-this-name")
      Issue.record("became nobody")
    } catch { #expect("\(error)".contains("there is no user \"nobody-of-this-name\"")) }
    do throws(PrivilegeError) {
      try Privileges.become("root")
      Issue.record("became root")
    } catch { #expect("\(error)".contains("has the rights of root")) }

    // In a process of its own: there is no way back.
    let child = clone()
    if child == 0 {
      do throws(PrivilegeError) {
        try Privileges.become("nobody")
        _exit(geteuid() != 0 && getuid() != 0 && setuid(0) != 0 && access("/root", R_OK) != 0 ? 0 : 1)
      } catch { _exit(2) }
    }
    var status: CInt = 0
    #expect(waitpid(child, &status, 0) == child)
    #expect(status == 0)
  }

  /// fork(2), which Swift hides; the child only makes system calls and ends.
  private func clone() -> pid_t {
    typealias Fork = @convention(c) () -> pid_t
    guard let symbol = dlsym(nil, "fork") else { return -1 }
    return unsafeBitCast(symbol, to: Fork.self)()
  }
}
