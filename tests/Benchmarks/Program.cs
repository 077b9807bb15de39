using MigrationD.Benchmarks.Lanes;

const string Usage = """
    Measures migrationd. Every number in the docs comes from here.

      lanes [--json] [--rounds N]   the page lanes against a raw blocking socket: bulk throughput and CPU, urgent round trips

    Run with: dotnet run --project tests/Benchmarks -c Release -- lanes
    """;

switch (args)
{
    case ["lanes", .. var options]:
        return LanesBenchmark.Run(options);
    case [LanesPeer.Command]:
        return LanesPeer.Run();
    case [] or ["--help"] or ["-h"]:
        Console.WriteLine(Usage);
        return 0;
    default:
        Console.Error.WriteLine($"'{string.Join(' ', args)}' is no benchmark.\n\n{Usage}");
        return 2;
}
