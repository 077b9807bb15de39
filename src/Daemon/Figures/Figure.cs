using System.Text.Json.Nodes;

namespace MigrationD.Daemon.Figures;

/// <summary>A figure of a migration: its names, its unit, and its value for programs and for people.</summary>
/// <param name="Name">Its key in --json; null where only others have it.</param>
/// <param name="Unit">What it is counted in there; empty for a plain number, a text or an object.</param>
/// <param name="Value">Its value there; null is left out.</param>
/// <param name="Show">Its value for people; null is not known.</param>
internal sealed record Figure(
    string? Name, string Unit, Func<TransferFigures, JsonNode?> Value, Func<TransferFigures, string?> Show)
{
    private const double MicrosecondsPerMillisecond = 1000;
    private const double NanosecondsPerMicrosecond = 1000;
    private readonly string? _label;

    /// <summary>QEMU's name for it in <c>query-migrate</c> (MigrationInfo of qapi/migration.json); null where QEMU has none.</summary>
    public string? Qemu { get; init; }

    /// <summary>libvirt's name for it in virDomainGetJobStats, which <c>virsh domjobinfo</c> shows; null where libvirt has none.</summary>
    public string? Libvirt { get; init; }

    /// <summary>The name on its line for people: QEMU's name, or else its key, unless another one is said.</summary>
    public string Label
    {
        get => _label ?? Qemu ?? Name ?? "";
        init => _label = value;
    }

    /// <summary>Its value for QEMU and libvirt, which have whole numbers where --json has fractions.</summary>
    public Func<TransferFigures, JsonNode?> Foreign { get; init; } = Value;

    /// <summary>Whether people are not shown it while it is 0.</summary>
    public bool IsRare { get; init; }

    /// <summary>The figures of an object.</summary>
    public IReadOnlyList<Figure> Members { get; init; } = [];

    /// <summary>A text that is always there.</summary>
    public static Figure Word(string? name, Func<TransferFigures, string> value) => new(name, "", of => value(of), value);

    /// <summary>A text that is left out where it is empty.</summary>
    public static Figure Sentence(string name, Func<TransferFigures, string> value) =>
        new(name, "", of => value(of) is { Length: > 0 } text ? text : null, value);

    /// <summary>A number of things.</summary>
    public static Figure Count(string? name, string unit, Func<TransferFigures, ulong?> value) => Number(name, unit, value, Numbers.Number);

    /// <summary>A number of pages.</summary>
    public static Figure Pages(string? name, Func<TransferFigures, ulong?> value) => Count(name, "pages", value);

    /// <summary>A size.</summary>
    public static Figure Bytes(string? name, Func<TransferFigures, ulong?> value) => Number(name, "bytes", value, Numbers.Bytes);

    /// <summary>A time, given in microseconds.</summary>
    public static Figure Time(string name, Func<TransferFigures, ulong?> value) => Number(name, "ms", value, Numbers.Milliseconds) with
    {
        Value = of => value(of) is { } time ? Milliseconds(time) : null,
        Foreign = of => value(of) is { } time ? WholeMilliseconds(time) : null,
    };

    /// <summary>A mean latency, given in nanoseconds.</summary>
    public static Figure MeanLatency(Func<TransferFigures, ulong?> value) => Number(null, "ns", value, Nanoseconds);

    /// <summary>How many come in a second.</summary>
    public static Figure Rate(string name, string unit, Func<TransferFigures, double> value) =>
        new(name, unit, of => value(of), of => Numbers.Whole(value(of))) { Foreign = of => (ulong)value(of) };

    /// <summary>A value of another shape, which people are not shown.</summary>
    public static Figure Shape(string? name, Func<TransferFigures, JsonNode?> value) => new(name, "", value, _ => null);

    /// <summary>An object, left out where nothing is known of it. In a foreign document it is QEMU's: libvirt's has none.</summary>
    public static Figure Group(string? name, Func<TransferFigures, bool> isKnown, IReadOnlyList<Figure> members) =>
        Shape(name, of => isKnown(of) ? Document(members, of) : null) with
        {
            Members = members,
            Foreign = of => QemuDocument(members, of),
        };

    /// <summary>Figures in the words of --json.</summary>
    public static JsonObject Document(IEnumerable<Figure> figures, TransferFigures of) =>
        WhatIsKnown(figures.Select(figure => (figure.Name, figure.Value(of))));

    /// <summary>Figures in QEMU's words.</summary>
    public static JsonObject QemuDocument(IEnumerable<Figure> figures, TransferFigures of) =>
        WhatIsKnown(figures.Select(figure => (figure.Qemu, figure.Foreign(of))));

    /// <summary>Figures in libvirt's words.</summary>
    public static JsonObject LibvirtDocument(IEnumerable<Figure> figures, TransferFigures of) =>
        WhatIsKnown(figures.Select(figure => (figure.Libvirt, figure.Foreign(of))));

    /// <summary>Microseconds in milliseconds.</summary>
    public static double Milliseconds(ulong microseconds) => microseconds / MicrosecondsPerMillisecond;

    /// <summary>Microseconds in whole milliseconds.</summary>
    public static ulong WholeMilliseconds(ulong microseconds) => (ulong)Math.Round(Milliseconds(microseconds));

    /// <summary>Nanoseconds for people.</summary>
    public static string Nanoseconds(ulong value) => Numbers.Microseconds(value / NanosecondsPerMicrosecond);

    /// <summary>The value for people: empty where it is rare and there is none, a dash where it is not known.</summary>
    public string Shown(TransferFigures of) =>
        IsRare && (Value(of)?.ToString() is null or "0") ? "" : Show(of) ?? Numbers.Unknown;

    private static Figure Number(string? name, string unit, Func<TransferFigures, ulong?> value, Func<ulong, string> show) =>
        new(name, unit, of => value(of), of => value(of) is { } known ? show(known) : null);

    private static JsonObject WhatIsKnown(IEnumerable<(string? Name, JsonNode? Value)> members) =>
        new(members.Where(member => member.Value is not null).Select(member => KeyValuePair.Create(member.Name!, member.Value)));
}
