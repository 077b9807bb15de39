using MigrationD.Benchmarks.Place;

namespace MigrationD.Benchmarks.Start;

/// <summary>A machine whose cores have other work to do: several threads for each, which only compute.</summary>
internal sealed class BusyMachine : IDisposable
{
    public const int ThreadsPerCore = 4;

    private readonly BusyThread[] _threads =
        [.. Enumerable.Range(0, ThreadsPerCore * Environment.ProcessorCount).Select(_ => new BusyThread())];

    public void Dispose()
    {
        foreach (BusyThread thread in _threads)
        {
            thread.Dispose();
        }
    }
}
