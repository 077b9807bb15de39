namespace MigrationD.Guest;

/// <summary>A guest cannot come to this host, or its state cannot be loaded. The message says what does not fit.</summary>
public sealed class GuestStateException(string message, Exception? cause = null) : Exception(message, cause);
