using System.Diagnostics;
using System.Globalization;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Tests.Programs.Pulse;

namespace MigrationD.Guest.Tests.Kinds;

/// <summary>
/// Another process that takes a guest over from files, runs it, and leaves it in the same files again: proof that nothing of a guest
/// depends on the address space that it comes from.
/// </summary>
internal static class OtherProcess
{
    private const string Command = "other-process";

    /// <summary>Entry of this assembly, which is a program: the other process, or else the runner of its tests.</summary>
    public static int Main(string[] arguments)
    {
        if (arguments is not [Command, var folder, ..])
        {
            return Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(arguments).GetAwaiter().GetResult();
        }

        try
        {
            Host(folder, Parse(arguments.AsSpan(2)));
            return 0;
        }
        catch (Exception error)
        {
            Console.Error.WriteLine(error);
            return 1;
        }
    }

    /// <summary>Sends a paused guest through another process and returns its state; its memory comes back into another.</summary>
    public static byte[] RunThrough(IGuest guest, GuestMemory into)
    {
        string folder = Directory.CreateTempSubdirectory("migrationd-test-").FullName;
        try
        {
            WriteMemory(guest.Memory, Path.Combine(folder, "memory"));
            File.WriteAllBytes(Path.Combine(folder, "profile"), guest.MachineProfile());
            File.WriteAllBytes(Path.Combine(folder, "state"), guest.SaveState());
            Start([folder, .. Format(guest.Spec)]);
            ReadMemory(into, Path.Combine(folder, "memory"));
            return File.ReadAllBytes(Path.Combine(folder, "state"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Host(string folder, GuestSpec spec)
    {
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        ReadMemory(memory, Path.Combine(folder, "memory"));
        using IGuest guest = GuestFactory.Incoming(spec, memory, File.ReadAllBytes(Path.Combine(folder, "profile")));
        guest.LoadState(File.ReadAllBytes(Path.Combine(folder, "state")));
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        Assert.Equal(0, guest.Report().CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
        WriteMemory(memory, Path.Combine(folder, "memory"));
        File.WriteAllBytes(Path.Combine(folder, "state"), guest.SaveState());
    }

    private static void Start(string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [typeof(OtherProcess).Assembly.Location, Command, .. arguments])
        {
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TestPages.Deadline))
        {
            process.Kill();
            Assert.Fail("the other process did not end in time");
        }

        Assert.True(process.ExitCode == 0, $"the other process failed: {errors.Result}");
    }

    private static string[] Format(GuestSpec spec) =>
    [
        spec.Name,
        spec.Kind.ToString(),
        spec.MemoryBytes.ToString(CultureInfo.InvariantCulture),
        spec.Vcpus.ToString(CultureInfo.InvariantCulture),
        spec.WorkingSetBytes.ToString(CultureInfo.InvariantCulture),
        spec.Pattern.ToString(),
    ];

    private static GuestSpec Parse(ReadOnlySpan<string> arguments) => new(
        arguments[0],
        Enum.Parse<GuestKind>(arguments[1]),
        long.Parse(arguments[2], CultureInfo.InvariantCulture),
        int.Parse(arguments[3], CultureInfo.InvariantCulture),
        long.Parse(arguments[4], CultureInfo.InvariantCulture),
        Enum.Parse<WalkPattern>(arguments[5]));

    private static void WriteMemory(GuestMemory memory, string path)
    {
        using FileStream file = File.Create(path);
        byte[] block = new byte[GuestPage.BlockSize];
        for (long offset = 0; offset < memory.Length; offset += block.Length)
        {
            memory.Read(offset, block);
            file.Write(block);
        }
    }

    private static void ReadMemory(GuestMemory memory, string path)
    {
        using FileStream file = File.OpenRead(path);
        byte[] block = new byte[GuestPage.BlockSize];
        for (long offset = 0; offset < memory.Length; offset += block.Length)
        {
            file.ReadExactly(block);
            memory.Write(offset, block);
        }
    }
}
