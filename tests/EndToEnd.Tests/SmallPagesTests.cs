using System.Diagnostics;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Hosts without transparent huge pages: everything goes page by page, and comes out the same.</summary>
public sealed class SmallPagesTests
{
    // PR_SET_THP_DISABLE of prctl(2) is inherited over fork and execve: the host's setting stays what it is.
    private const string Launcher = """
        #include <stdio.h>
        #include <sys/prctl.h>
        #include <unistd.h>
        int main(int count, char **arguments) {
            if (count < 2 || prctl(41 /* PR_SET_THP_DISABLE */, 1, 0, 0, 0) != 0) { perror("prctl"); return 1; }
            execv(arguments[1], arguments + 1);
            perror("execv");
            return 1;
        }
        """;

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm | Needs.CCompiler)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_guest_moves_between_hosts_without_huge_pages(bool sourceWithout, bool destinationWithout)
    {
        using var scratch = new Scratch();
        string launcher = Compile(scratch);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", start => Launch(start, sourceWithout ? launcher : null));
        await using DaemonProcess destination =
            await DaemonProcess.StartAsync("destination", start => Launch(start, destinationWithout ? launcher : null));
        await source.CreateGuestAsync("g", "kvm", "64MiB", "40MiB");
        await source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = "g" });
        string before = await source.HashAsync("g");
        Migration there = await source.MigrateAsync("g", destination);
        Assert.Equal(before, await destination.HashAsync("g"));
        if (destinationWithout)
        {
            Assert.Equal(0UL, there.Placement.Moves2M);
        }

        await destination.Calls.ResumeGuestAsync(new ResumeGuestRequest { Name = "g" });
        await destination.MigrateAsync("g", source);
        await source.GuestIsWellAsync("g");
    }

    private static void Launch(ProcessStartInfo start, string? launcher)
    {
        if (launcher is not null)
        {
            start.ArgumentList.Insert(0, start.FileName);
            start.FileName = launcher;
        }
    }

    private static string Compile(Scratch scratch)
    {
        string code = scratch.PathOf("launcher.c");
        string launcher = scratch.PathOf("launcher");
        File.WriteAllText(code, Launcher);
        using Process compiler = Process.Start("cc", ["-o", launcher, code]);
        Assert.True(compiler.WaitForExit(TimeSpan.FromSeconds(60)), "cc did not end in time");
        Assert.Equal(0, compiler.ExitCode);
        return launcher;
    }
}
