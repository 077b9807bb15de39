using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Place;

/// <summary>The ways to place pages, against each other: alone, and with a thread of the process at work on another core.</summary>
internal sealed class PlaceBenchmark : IBenchmark
{
    private const int DefaultRounds = 7;
    private static readonly PlaceWay[] Ways = Enum.GetValues<PlaceWay>();

    private sealed record Result(PlaceCase Case, PlaceFigures Quiet, PlaceFigures Busy);

    /// <inheritdoc/>
    public string Name => "place";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        PlaceCase[] cases = [.. Cases().Where(one => options.Wants(NameOf(one)))];
        if (cases.Length == 0)
        {
            string names = string.Join("; ", Cases().Select(NameOf));
            throw new BenchmarkException($"nothing is called '{options.Only}'; there are: {names}.");
        }

        var quiet = cases.ToDictionary(one => one, _ => new List<PlaceFigures>());
        var busy = cases.ToDictionary(one => one, _ => new List<PlaceFigures>());

        // Round 0 warms the code and the memory up and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            progress($"place: round {round} of {rounds}");
            foreach (PlaceCase one in cases)
            {
                PlaceFigures alone = PlaceRound.Run(one);
                PlaceFigures beside;
                using (new BusyThread())
                {
                    beside = PlaceRound.Run(one);
                }

                if (round != 0)
                {
                    quiet[one].Add(alone);
                    busy[one].Add(beside);
                }
            }
        }

        return Describe(
            rounds, [.. cases.Select(one => new Result(one, PlaceFigures.MedianOf(quiet[one]), PlaceFigures.MedianOf(busy[one])))]);
    }

    private static IEnumerable<PlaceCase> Cases() =>
        from unit in new[] { (4 << 10, false), (64 << 10, false), (2 << 20, false), (2 << 20, true) }
        from way in Ways
        select new PlaceCase(unit.Item1, unit.Item2, way);

    private static string NameOf(PlaceCase one) => $"{one.Unit}, {one.Call}";

    private static Section Describe(int rounds, Result[] results) => new(
        "place",
        "Placing pages",
        $"""
        {Format.Bytes(PlaceRound.RegionBytes)} of memory with a userfaultfd on it is filled in random order, unit by unit, from memory
        that has just been written; microseconds for each page of 4 KiB, medians of {rounds} rounds after one that is not counted.
        "Busy" is with one more thread of the process at work, "refill" is what fresh pages in the staging cost afterwards, off the path
        that anybody waits for. The ratio is to COPY of the same unit, both with their refill.
        """)
    {
        Tables =
        [
            new Table(
                "",
                ["unit, call", "to COPY", "µs/page", "µs/page, busy", "refill, µs/page", "mappings after", "huge after"],
                [.. results.Select(one => (string[])
                [
                    NameOf(one.Case),
                    RatioToCopy(one, results) is { } ratio ? Format.Number(ratio) : "",
                    Format.Number(one.Quiet.Place),
                    Format.Number(one.Busy.Place),
                    Format.Number(one.Quiet.Refill),
                    Format.Whole(one.Quiet.Mappings),
                    Format.Percent(one.Quiet.HugeShare),
                ])]),
        ],
        Notes =
        [
            "mremap leaves a mapping for each unit that does not continue its neighbour, and a process may have 65,530 of them "
                + "(vm.max_map_count): with 4 KiB units its memory would end at 256 MiB. It also takes the registration with it.",
        ],
        Results = new
        {
            benchmark = "place",
            rounds,
            regionBytes = PlaceRound.RegionBytes,
            microsecondsPerPage = results.Select(one => new
            {
                unitBytes = one.Case.UnitBytes, huge = one.Case.Huge, call = one.Case.Call, quiet = one.Quiet, busy = one.Busy,
            }),
        },
    };

    private static double? RatioToCopy(Result one, Result[] results)
    {
        PlaceCase copy = one.Case with { Way = PlaceWay.Copy };
        return results.FirstOrDefault(other => other.Case == copy) is { } found
            ? (one.Quiet.Place + one.Quiet.Refill) / (found.Quiet.Place + found.Quiet.Refill)
            : null;
    }
}
