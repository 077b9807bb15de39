using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Figures;

/// <summary>What the protocol counts is a figure, and what is a figure is in the documentation.</summary>
public sealed class MigrationFiguresTests
{
    private static readonly string Docs = Path.Combine(WorkingTree.Above(AppContext.BaseDirectory)!, "docs");

    [Fact]
    public void Every_field_that_daemons_send_of_a_migration_is_printed()
    {
        // For those who call the daemon themselves: one of two parts of pages_zero, and the spread of parts of the latency.
        string[] ofNoFigure =
        [
            "placement.fault_network.buckets", "placement.fault_place.buckets", "placement.fault_queue.buckets",
            "placement.pages_zero_urgent",
        ];
        Assert.Equal(ofNoFigure, Fields(Migration.Descriptor, "").Where(IsNotPrinted).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_figure_is_in_the_table_of_figures_with_its_unit_and_its_names() => Assert.Equal(
        Rows(),
        File.ReadLines(Path.Combine(Docs, "figures.md")).Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(1)
            .Select(line => string.Join(" | ", line.Trim('|').Split('|').Take(4).Select(cell => cell.Trim().Replace("`", "")))));

    [Fact]
    public void Every_field_of_a_migration_is_in_the_description_of_the_protocol()
    {
        string protocol = File.ReadAllText(Path.Combine(Docs, "protocol.md"));
        Assert.Equal([], new[] { Migration.Descriptor, PlacementCounters.Descriptor }
            .SelectMany(message => message.Fields.InDeclarationOrder())
            .Select(field => field.Name)
            .Where(name => !protocol.Contains($"`{name}`", StringComparison.Ordinal)));
    }

    private static IEnumerable<string> Fields(MessageDescriptor message, string path) => message.Fields.InDeclarationOrder().SelectMany(
        field => field.FieldType == FieldType.Message ? Fields(field.MessageType, $"{path}{field.Name}.") : [path + field.Name]);

    private static bool IsNotPrinted(string path)
    {
        Migration migration = MigrationOutputTests.Ended();
        string before = JsonShapes.Detailed(migration).ToJsonString();
        string[] names = path.Split('.');
        IMessage holder = migration;
        foreach (string name in names[..^1])
        {
            object value = holder.Descriptor.FindFieldByName(name).Accessor.GetValue(holder);
            holder = (IMessage)(value is IList list ? list[0]! : value);
        }

        Change(holder, holder.Descriptor.FindFieldByName(names[^1]));
        return JsonShapes.Detailed(migration).ToJsonString() == before;
    }

    private static void Change(IMessage message, FieldDescriptor field)
    {
        object value = field.Accessor.GetValue(message);
        if (value is IList<ulong> list)
        {
            list.Add(1);
            return;
        }

        field.Accessor.SetValue(message, value switch
        {
            ulong number => number + 1_000_000,
            uint number => number + 1,
            long number => number + 1_000_000,
            double number => number + 1,
            string text => text + "!",
            _ when field.FieldType == FieldType.Enum => field.EnumType.Values.First(other => other.Number != (int)value).Number,
            _ => throw new InvalidOperationException($"{field.FullName} is a {value.GetType()}; say here how one differs from another"),
        });
    }

    /// <summary>The table: figures of --json in their order, then what only QEMU has, then what only libvirt has.</summary>
    private static IEnumerable<string> Rows()
    {
        (Figure Figure, string Own)[] own = [.. Flat(MigrationFigures.All, figure => figure.Name)];
        (Figure Figure, string Qemu)[] qemu = [.. Flat(MigrationFigures.OfQemu, figure => figure.Qemu)];
        (Figure Figure, string Libvirt)[] libvirt = [.. Flat(MigrationFigures.OfLibvirt, figure => figure.Libvirt)];
        // A figure that bears a second name in a document is a copy with the same value.
        string NamesIn((Figure Figure, string Name)[] document, Figure figure) =>
            string.Join(", ", document.Where(one => one.Figure.Value == figure.Value).Select(one => one.Name));
        return own.Concat(qemu).Concat(libvirt).Select(one => one.Figure).DistinctBy(figure => figure.Value)
            .Select(figure => $"{NamesIn(own, figure)} | {figure.Unit} | {NamesIn(qemu, figure)} | {NamesIn(libvirt, figure)}");
    }

    private static IEnumerable<(Figure, string)> Flat(IReadOnlyList<Figure> figures, Func<Figure, string?> name, string path = "") =>
        figures.SelectMany(figure => figure.Members.Count > 0
            ? Flat(figure.Members, name, $"{path}{name(figure)}.")
            : [(figure, path + name(figure))]);
}
