/// Runs tasks on one worker's thread, one job at a time, and so without the threads of the concurrency runtime.
public final class WorkerExecutor: TaskExecutor {
  private let worker: ThreadWorker

  /// Runs them on `worker`, which must not be stopped while tasks are left.
  public init(_ worker: ThreadWorker) {
    self.worker = worker
  }

  /// Takes a job from the concurrency runtime; called on any thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedTaskExecutor()
    worker.submit { job.runSynchronously(on: executor) }
  }
}
