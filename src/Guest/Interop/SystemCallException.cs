namespace MigrationD.Guest.Interop;

/// <summary>A system call failed. The message says the call, its arguments and the error by name.</summary>
/// <param name="call">The call with its arguments, e.g. <c>mmap length=0x1000</c>.</param>
/// <param name="error">What it returned.</param>
public sealed class SystemCallException(string call, Errno error) : IOException($"{call}: {Describe(error)}")
{
    /// <summary>The call with its arguments.</summary>
    public string Call { get; } = call;

    /// <summary>What it returned.</summary>
    public Errno Error { get; } = error;

    /// <summary>The failure of the P/Invoke (SetLastError = true) that just returned on this thread.</summary>
    public static SystemCallException FromLast(string call) => new(call, LastError);

    /// <summary>The errno of the P/Invoke (SetLastError = true) that just returned on this thread.</summary>
    public static Errno LastError => (Errno)Marshal.GetLastPInvokeError();

    private static string Describe(Errno error)
    {
        string name = Enum.IsDefined(error) ? $"{error} ({(int)error})" : $"errno {(int)error}";
        return $"{name}, {Marshal.GetPInvokeErrorMessage((int)error)}";
    }
}
