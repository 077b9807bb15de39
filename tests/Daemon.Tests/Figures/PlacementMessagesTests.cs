using System.Collections;
using System.Diagnostics;
using Google.Protobuf;
using MigrationD.Daemon.Figures;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Tests.Figures;

public sealed class PlacementMessagesTests
{
    private static readonly TimeSpan Wait = TimeSpan.FromMilliseconds(1);

    /// <summary>A field of the message that nobody fills, or a counter that two fields show, is one that was forgotten in MigrationFigures.ToMessage.</summary>
    [Fact]
    public void Every_field_has_what_was_counted_for_it()
    {
        var received = new ReceivedPages(2);
        var ledger = new FaultLedger(received);
        ledger.SetVcpus([7]);
        var counted = new MigrationD.Guest.Userfault.PlacementCounters(ledger);
        PlacementCounter[] counters = [.. typeof(MigrationD.Guest.Userfault.PlacementCounters).GetProperties()
            .Where(property => property.PropertyType == typeof(PlacementCounter))
            .Select(property => (PlacementCounter)property.GetValue(counted)!)];
        for (int i = 0; i < counters.Length; i++)
        {
            counters[i].Add(1_000_000 + i);
        }

        // A vCPU waits for a page, and a thread that is none.
        ledger.Open(0, 7);
        ledger.Open(1, 8);
        long opened = Stopwatch.GetTimestamp();
        ledger.RecordRequest(0);
        SpinWait.SpinUntil(() => Stopwatch.GetElapsedTime(opened) > Wait);
        long arrived = Stopwatch.GetTimestamp();
        received.Mark(0, 2);
        ledger.Close(0, 2, arrived);

        IMessage message = MigrationFigures.ToMessage(counted);
        Dictionary<string, object> fields = message.Descriptor.Fields.InDeclarationOrder()
            .ToDictionary(field => field.Name, field => field.Accessor.GetValue(message));
        Assert.Equal([], fields.Where(field => IsEmpty(field.Value)).Select(field => field.Key));
        ulong[] values = [.. fields.Values.OfType<ulong>()];
        Assert.Equal(values.Length, values.Distinct().Count());
    }

    private static bool IsEmpty(object? value) => value switch
    {
        null or 0UL => true,
        IList list => list.Count == 0,
        IMessage message => message.CalculateSize() == 0,
        _ => false,
    };
}
