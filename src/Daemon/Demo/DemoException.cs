namespace MigrationD.Daemon.Demo;

/// <summary>The demo cannot go on. The message says why.</summary>
internal sealed class DemoException : Exception
{
    /// <summary>A demo that ends here.</summary>
    public DemoException(string message)
        : base(message)
    {
    }
}
