using System.Collections.Concurrent;
using MigrationD.Daemon.Destination;

namespace MigrationD.Daemon.Tests.Destination;

/// <summary>Who carries out orders on the handover lane without a session: keeps them, with the thread that brought each.</summary>
internal sealed class ScriptedTarget : IHandoverTarget
{
    public ConcurrentQueue<(string What, Thread On)> CarriedOut { get; } = [];

    public Action OnRun { get; set; } = () => { };

    public void Forget(IReadOnlyList<ulong> staleRuns) => Note($"Forget {string.Join(',', staleRuns)}");

    public void LoadState(ReadOnlyMemory<byte> state) => Note($"LoadState {state.Span[0]}");

    public void Run()
    {
        OnRun();
        Note("Run");
    }

    private void Note(string what) => CarriedOut.Enqueue((what, Thread.CurrentThread));
}
