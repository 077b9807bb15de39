using MigrationD.Benchmarks.Compression;
using MigrationD.Benchmarks.Dirty;
using MigrationD.Benchmarks.Handover;
using MigrationD.Benchmarks.Lanes;
using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Modes;
using MigrationD.Benchmarks.Parallel;
using MigrationD.Benchmarks.Peers;
using MigrationD.Benchmarks.Place;
using MigrationD.Benchmarks.Report;
using MigrationD.Benchmarks.Scale;
using MigrationD.Benchmarks.Start;

const string Usage = """
    Measures migrationd. Every number in the docs comes from here.

      all       everything below, and writes docs/benchmarks.md and its figures; also without any argument
      lanes     the page lanes against a raw blocking socket: bulk throughput and CPU, urgent round trips
      migrate   guests of 1 GiB moved between two daemons: time, downtime, faults, guest speed, huge pages, allocation
      modes     post-copy, precopy and both one after the other, at 1 and 10 Gbit/s: time, downtime, faults, bytes, guest speed; QEMU's beside them
      handover  what is said while the guest stands still: time of the state, LoadState and Run, also of other builds beside this one
      parallel  the push over one lane and over several: time, CPU
      compression
                pages packed never, always and when that is faster, from 100 Mbit/s on: time, bytes, CPU
      place     UFFDIO_MOVE, UFFDIO_COPY and mremap at several sizes: time for a page, mappings left
      dirty     guests whose writes are logged, as precopy does: their speed, the log's calls, huge pages
      scale     guests of 256 MiB to 8 GiB, and 1 to 4 at once: time, downtime, faults
      peers     the same walk in a QEMU guest, moved from QEMU to QEMU and from daemon to daemon
      start     the program as it is built here and as native code, which is what is shipped: start, commands, the first migration of a
                daemon, memory, size

      --json           prints the results as JSON
      --rounds N       counted rounds of each benchmark (default: 5 of lanes and start, 7 of place, 10 of handover, 1 of modes, scale and thin links,
                       3 of the others)
      --only TEXT      only the cases whose name contains it, of benchmarks that have several
      --memory MIB     guests of another size (migrate, modes, compression, dirty, peers), or no larger than this (scale), to try a
                       benchmark out in less time
      --qemu PATH      a qemu-system-x86_64 to compare with; may be given again (default: MIGRATIOND_QEMU, else the one in PATH)
      --build NAME=PATH
                       another build's migrationd, measured beside this one (handover); may be given again
      --docs FOLDER    where the report goes (default: of all, docs in the tree; of one benchmark, nowhere). Of benchmarks that are not run
                       now it keeps what they last came to

    MIGRATIOND_TEST_PROGRAM names an executable whose daemons are measured in the place of this tree's build, by all but start.

    Run with: dotnet run --project tests/Benchmarks -c Release -- migrate
    """;

if (args is [LanesPeer.Command, var memoryMiB])
{
    return LanesPeer.Run(memoryMiB);
}

if (args is ["--help"] or ["-h"] or ["help"])
{
    Console.WriteLine(Usage);
    return 0;
}

IBenchmark[] benchmarks =
[
    new LanesBenchmark(), new MigrateBenchmark(), new HandoverBenchmark(), new ModesBenchmark(), new ParallelBenchmark(),
    new CompressionBenchmark(), new PlaceBenchmark(), new DirtyBenchmark(), new ScaleBenchmark(), new PeersBenchmark(),
    new StartBenchmark(),
];
bool named = args.Length > 0 && !args[0].StartsWith('-');
bool everything = !named || args[0] == "all";
IBenchmark[] wanted = everything ? benchmarks : [.. benchmarks.Where(one => one.Name == args[0])];
if (wanted.Length == 0)
{
    Console.Error.WriteLine($"'{args[0]}' is no benchmark.\n\n{Usage}");
    return 2;
}

RunOptions options;
try
{
    options = RunOptions.Parse(args.AsSpan(named ? 1 : 0));
}
catch (BenchmarkException error)
{
    Console.Error.WriteLine($"{error.Message}\n\n{Usage}");
    return 2;
}

try
{
    return BenchmarkSuite.Run(wanted, benchmarks, options, args, writeDocs: everything || options.Docs is not null);
}
catch (BenchmarkException error)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}
