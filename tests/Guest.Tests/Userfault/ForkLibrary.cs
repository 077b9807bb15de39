using System.Diagnostics;
using System.Runtime.InteropServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>
/// A fork whose child ends at once, both in C: a child must not return into managed code, where none of the other threads exist.
/// Afterwards every page that the child got is marked as shared until it is written again.
/// </summary>
internal sealed unsafe class ForkLibrary : IDisposable
{
    private const string Source = """
        #include <sys/wait.h>
        #include <unistd.h>
        int fork_and_wait(void)
        {
            int status = 0;
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
        }
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("migrationd-test-").FullName;
    private readonly nint _library;
    private readonly delegate* unmanaged<int> _forkAndWait;

    public ForkLibrary()
    {
        string source = Path.Combine(_folder, "fork.c");
        string library = Path.Combine(_folder, "fork.so");
        File.WriteAllText(source, Source);
        using Process compiler = Process.Start("cc", ["-shared", "-fPIC", "-O1", "-o", library, source]);
        Assert.True(compiler.WaitForExit(TestPages.Deadline), "cc did not end in time");
        Assert.Equal(0, compiler.ExitCode);
        _library = NativeLibrary.Load(library);
        _forkAndWait = (delegate* unmanaged<int>)NativeLibrary.GetExport(_library, "fork_and_wait");
    }

    public void Fork() => Assert.Equal(0, _forkAndWait());

    public void Dispose()
    {
        NativeLibrary.Free(_library);
        Directory.Delete(_folder, recursive: true);
    }
}
