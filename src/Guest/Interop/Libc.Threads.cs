using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>Threads as the kernel knows them (gettid(2), getpid(2), tgkill(2)). Thin: no policy in here.</summary>
internal static partial class Libc
{
    [LibraryImport("libc", EntryPoint = "gettid")]
    public static partial int Gettid();

    [LibraryImport("libc", EntryPoint = "getpid")]
    public static partial int Getpid();

    [LibraryImport("libc", EntryPoint = "tgkill", SetLastError = true)]
    public static partial int Tgkill(int process, int thread, int signal);
}
