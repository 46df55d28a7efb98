import Foundation
import Glibc
import MartletServer

/// Gives what root made in the data folder to the user that the server runs as: a command run as root must leave nothing behind that
/// the server can't open.
enum DataOwner {
  /// That root finds the user whom all is to belong to.
  static func check(_ user: String) throws(AdminFailure) {
    guard Privileges.isRoot else { return }
    do throws(PrivilegeError) { try Privileges.ids(of: user) } catch { throw AdminFailure(error.message, exitCode: 78) }
  }

  /// Runs `body` with the rights of the user that the server runs as, and root's again after it: what it makes in the data folder (made
  /// beforehand) belongs to that user from the first moment, so that a server that starts meanwhile is told who has the store, not
  /// that it may not look.
  static func acting<Result>(as user: String, in folder: String, _ body: () async -> Result) async -> Result {
    guard geteuid() == 0, let entry = getpwnam(user), entry.pointee.pw_uid != 0 else { return await body() }
    let (owner, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    try? DataFolder.make(folder)
    give(folder, owner, group)
    setegid(group)
    seteuid(owner)
    let result = await body()
    seteuid(0)
    setegid(0)
    return result
  }

  static func restore(_ folder: String, user: String) {
    guard geteuid() == 0, let entry = getpwnam(user) else { return }
    let (owner, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    guard owner != 0 else { return }
    give(folder, owner, group)
    guard let names = FileManager.default.enumerator(atPath: folder) else { return }
    for case let name as String in names { give(folder + "/" + name, owner, group) }
  }

  private static func give(_ path: String, _ owner: uid_t, _ group: gid_t) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_uid == 0, owner != 0 else { return }
    lchown(path, owner, group)
  }
}
