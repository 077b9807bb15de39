namespace MigrationD.Daemon.Cli.Demo;

/// <summary>The last lines that a daemon wrote. Safe to use from any thread.</summary>
internal sealed class DemoLog
{
    private const int Capacity = 40;

    private readonly Queue<string> _lines = [];
    private readonly Lock _gate = new();

    /// <summary>Adds a line; null, which ends a stream, is ignored.</summary>
    public void Add(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_gate)
        {
            if (_lines.Count == Capacity)
            {
                _lines.Dequeue();
            }

            _lines.Enqueue(line);
        }
    }

    /// <summary>The lines, indented.</summary>
    public override string ToString()
    {
        lock (_gate)
        {
            return string.Join('\n', _lines.Select(line => "  " + line));
        }
    }
}
