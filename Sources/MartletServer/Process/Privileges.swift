import CLinux
import Glibc

/// What the process may do, and how it gives up what it needs no longer.
public enum Privileges {
  /// Whether it runs as root.
  public static var isRoot: Bool { geteuid() == 0 }

  /// What root becomes: throws if this machine has no such user.
  @discardableResult
  public static func ids(of user: String) throws(PrivilegeError) -> (owner: uid_t, group: gid_t) {
    errno = 0
    guard let entry = getpwnam(user) else {
      throw PrivilegeError(
        message: "started as root, but there is no user \"\(user)\" ([process] user): make it, or name another")
    }
    return (entry.pointee.pw_uid, entry.pointee.pw_gid)
  }

  /// Becomes `user` for good, with its groups: user and group ids, real, effective and saved; checked. Nothing happens to a
  /// process that isn't root.
  ///
  /// A user with id 0 is refused: who wants a server that runs as root must not call this, and say so to the person.
  public static func become(_ user: String) throws(PrivilegeError) {
    guard isRoot else { return }
    let (owner, group) = try ids(of: user)
    guard owner != 0, group != 0 else {
      throw PrivilegeError(message: "[process] user \"\(user)\" has the rights of root: name a user that has not")
    }
    let status = clinux_become(user, owner, group)
    guard status == 0 else {
      throw PrivilegeError(message: "can't become the user \"\(user)\": \(String(cString: strerror(status)))")
    }
  }

  /// Gives a folder or file to `user`, so that it can be used after `become`. Only root can.
  public static func give(_ path: String, to user: String) throws(PrivilegeError) {
    guard isRoot, let entry = getpwnam(user) else { return }
    guard lchown(path, entry.pointee.pw_uid, entry.pointee.pw_gid) == 0 else {
      throw PrivilegeError(message: "can't give \(path) to \"\(user)\": \(String(cString: strerror(errno)))")
    }
  }

  /// Files are ours alone, a broken pipe is an error and no death, and as many descriptors as the system allows may be open.
  ///
  /// - Returns: how many descriptors that is.
  @discardableResult
  public static func prepare() -> Int {
    umask(0o077)
    signal(SIGPIPE, SIG_IGN)
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
    if limit.rlim_cur < limit.rlim_max {
      var wanted = limit
      wanted.rlim_cur = limit.rlim_max
      if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &wanted) == 0 { limit = wanted }
    }
    return Int(clamping: limit.rlim_cur)
  }
}

/// Why privileges can't be given up; for people.
public struct PrivilegeError: Error, Hashable, Sendable, CustomStringConvertible {
  public var message: String
  public var description: String { message }
}
