using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>A system call failed. The message says the call, its arguments and the error by name.</summary>
public sealed class SystemCallException : IOException
{
    /// <summary>A failure of <paramref name="call"/>, e.g. <c>mmap length=0x1000</c>, with the error it returned.</summary>
    public SystemCallException(string call, Errno error)
        : base($"{call}: {Describe(error)}")
    {
        Call = call;
        Error = error;
    }

    /// <summary>The call with its arguments.</summary>
    public string Call { get; }

    /// <summary>What it returned.</summary>
    public Errno Error { get; }

    /// <summary>The failure of the P/Invoke (SetLastError = true) that just returned on this thread.</summary>
    public static SystemCallException FromLast(string call) => new(call, LastError);

    /// <summary>The errno of the P/Invoke (SetLastError = true) that just returned on this thread.</summary>
    public static Errno LastError => (Errno)Marshal.GetLastPInvokeError();

    private static string Describe(Errno error) =>
        Enum.IsDefined(error) ? $"{error} ({(int)error}), {Marshal.GetPInvokeErrorMessage((int)error)}"
                              : $"errno {(int)error}, {Marshal.GetPInvokeErrorMessage((int)error)}";
}
