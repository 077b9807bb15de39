namespace MigrationD.Guest;

/// <summary>A guest cannot come to this host, or its state cannot be loaded. The message says what does not fit.</summary>
public sealed class GuestStateException : Exception
{
    /// <summary>A state or profile that was refused.</summary>
    public GuestStateException(string message)
        : base(message)
    {
    }

    /// <summary>A state or profile that was refused because of <paramref name="cause"/>.</summary>
    public GuestStateException(string message, Exception cause)
        : base(message, cause)
    {
    }
}
