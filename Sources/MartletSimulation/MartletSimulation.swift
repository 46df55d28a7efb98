/// The world, simulated: everything that Martlet gets from outside, from a seed, in one process and one thread.
///
/// What is here
/// - `FaultyDisk`: files in memory that record what is done to them and fail on demand; `RecordingVFS` puts SQLite on it, so that
///   database and body segments stand on one disk. `PowerCutSweep` tells what a power cut at each moment would have left.
/// - `SimulatedExecutor`: tasks, workers and timers on one thread in an order that the seed chooses; `VirtualClock`, `SeededRandom`.
///
/// What it promises: the same seed gives the same run, operation for operation, as long as the code under it gets time, randomness,
/// disk and workers from `Outside` only and stays on its task's executor. A run that can't go on says so (`Stuck`) instead of hanging.
///
/// Limits: everything is in memory; a recording holds each written byte once. A power cut tears at sectors of 512 octets; disks that
/// tear smaller, or lie about a sync, are simulated by `FaultyDisk.Fault`.
///
/// It is a product, not a test helper: tests, campaigns (`make crash`) and later the simulated internet stand on it.
public enum MartletSimulation {}
