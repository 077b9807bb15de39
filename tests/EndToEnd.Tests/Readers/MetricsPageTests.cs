using System.Net;
using System.Text.RegularExpressions;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>The page of metrics stays as it was promised, whatever writes it.</summary>
public sealed partial class MetricsPageTests
{
    private static readonly string Document = Path.Combine(AppContext.BaseDirectory, "docs", "metrics.md");

    [MachineFact(Needs.Userfaultfd)]
    public async Task After_a_migration_each_way_it_has_the_names_labels_types_and_buckets_that_are_promised()
    {
        await using DaemonProcess here = await DaemonProcess.StartAsync("here", DaemonProcess.Readable);
        // It pushes nothing for a while, so that the guest waits for pages when it comes back.
        await using DaemonProcess there = await DaemonProcess.StartAsync(
            "there", start => start.Environment["MIGRATIOND_FAULT"] = "source.run-after:delay:2000");
        await here.CreateGuestAsync("g", "workload", "16MiB", "8MiB", vcpus: 1);
        await here.MigrateAsync("g", there);
        Migration back = await there.MigrateAsync("g", here);
        Migration arrived = await here.MigrationUntilAsync(back.Id, one => one.State == MigrationState.Completed);
        Assert.NotEqual(0UL, arrived.Placement.PagesUrgent);
        Assert.Throws<Refusal>(() => LaneClient.Open(
            IPEndPoint.Parse(here.Lanes), PageLanePaths.Push, new Dictionary<string, string>(), new LaneOptions(), CancellationToken.None));

        using var http = new HttpClient();
        string page = await http.GetStringAsync(new Uri($"http://{here.Web}/metrics"));

        Assert.Equal(string.Join('\n', MetricsPage.Promised), string.Join('\n', MetricsPage.LinesOf(page)));
    }

    [Fact]
    public void The_document_names_each_of_them_with_its_type_and_labels()
    {
        Dictionary<string, (string, string)> documented = Row().Matches(File.ReadAllText(Document)).ToDictionary(
            row => row.Groups["name"].Value,
            row => (row.Groups["type"].Value, string.Join(' ', Word().Matches(row.Groups["labels"].Value).Select(word => word.Value).Order())));

        Assert.Equal(
            MetricsPage.Families.Select(one => (one.Key, (one.Value, string.Join(' ', MetricsPage.LabelsOf(one.Key))))).Order(),
            documented.Select(one => (one.Key, one.Value)).Order());
    }

    [GeneratedRegex(@"^\| `(?<name>migrationd_[a-z_]+)` \| (?<type>\w+) \|(?<labels>[^|]*)\|", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex("[a-z]+")]
    private static partial Regex Word();
}
