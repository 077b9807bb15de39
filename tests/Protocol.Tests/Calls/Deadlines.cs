namespace MigrationD.Protocol.Tests.Calls;

/// <summary>The bound of every wait in these tests: far above what any of them takes, so that reaching it means a hang.</summary>
internal static class Deadlines
{
    public static readonly TimeSpan Hung = TimeSpan.FromSeconds(30);

    /// <summary>Fires when a test that started now hangs.</summary>
    public static CancellationToken Token() => new CancellationTokenSource(Hung).Token;
}
