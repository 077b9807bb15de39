using System.CommandLine;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Options;

/// <summary>The options that say what a guest is made of; the same for <c>guest create</c> and <c>demo</c>.</summary>
internal sealed class GuestSpecOptions
{
    private const long PageBytes = 4096;
    private const uint DefaultVcpus = 2;
    private static readonly ByteSize DefaultMemory = new(256L << 20);

    private readonly ValueOption<ByteSize> _memory = ValueOption.Size("--memory", $"RAM; a multiple of 2 MiB [default: {DefaultMemory}]");
    private readonly ValueOption<ByteSize> _workingSet = ValueOption.Size("--working-set",
        "How much of RAM the guest's program goes over again and again [default: three quarters of the memory]");

    private readonly Option<uint?> _vcpus = new("--vcpus")
    {
        Description = $"Virtual CPUs, 1 to 4 [default: {DefaultVcpus}]",
        HelpName = "N",
    };

    private readonly WordOption<WalkPattern> _pattern = new("--pattern", WalkPattern.Uniform,
        "In which order it goes over its pages: one after the other, each equally likely, or a few of them most of the time");

    private readonly WordOption<GuestContent> _content = new("--content", GuestContent.Random,
        "What it writes: what nothing packs, or what packs to an eighth (see --compress)");

    public GuestSpecOptions(Command command)
    {
        command.Options.Add(_memory);
        command.Options.Add(_vcpus);
        command.Options.Add(_workingSet);
        command.Options.Add(_pattern);
        command.Options.Add(_content);
    }

    /// <summary>What the user asked for. Whether a host accepts it is the daemon's to say.</summary>
    public GuestSpec Read(ParseResult parse, string name, GuestKind kind)
    {
        var memory = (parse.GetValue(_memory) ?? DefaultMemory).Bytes;
        var workingSet = parse.GetValue(_workingSet)?.Bytes ?? memory / 4 * 3 / PageBytes * PageBytes;
        var spec = new GuestSpec
        {
            Name = name,
            Kind = kind,
            MemoryBytes = (ulong)memory,
            Vcpus = parse.GetValue(_vcpus) ?? DefaultVcpus,
        };
        spec.RunPulse(new Pulse { WorkingSetBytes = (ulong)workingSet, Pattern = _pattern.Read(parse), Content = _content.Read(parse) });
        return spec;
    }
}
