using MigrationD.Daemon.Draining;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Draining;

/// <summary>What peers have room for, as a test has it.</summary>
internal sealed class ScriptedSurvey : IPeerSurvey
{
    /// <summary>What they answer.</summary>
    public List<PeerAnswer> Answers { get; } = [];

    /// <summary>Answers come when this has ended.</summary>
    public Task Answering { get; set; } = Task.CompletedTask;

    /// <summary>How often they were asked.</summary>
    public int Asked { get; private set; }

    /// <summary>A peer with so much free memory, and room for so many guests on their way.</summary>
    public static PeerAnswer Peer(string address, long freeBytes, int places = 2, string? problem = null, bool isSelf = false) => new(
        address,
        new Capacity
        {
            Node = $"node {address}",
            GuestMemoryBytes = (ulong)freeBytes,
            MaxIncoming = (uint)places,
            Kinds = { GuestKind.Kvm },
        },
        problem, isSelf);

    public async Task<IReadOnlyList<PeerAnswer>> AskAsync(CancellationToken cancel)
    {
        Asked++;
        await Answering.WaitAsync(cancel);
        return [.. Answers];
    }
}
