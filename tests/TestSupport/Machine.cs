using System.Diagnostics;

namespace MigrationD.TestSupport;

/// <summary>What this machine has of what tests need.</summary>
public static class Machine
{
    /// <summary>Why a test with these needs cannot run here, or null when it can.</summary>
    public static string? Lacks(Needs needs)
    {
        foreach (Needs need in Enum.GetValues<Needs>())
        {
            if (need != Needs.None && needs.HasFlag(need) && LacksOne(need) is { } reason)
            {
                return reason;
            }
        }

        return null;
    }

    // Root in a container may still not be allowed to; asked once, as it is a change to the machine for a moment.
    private static readonly Lazy<string?> CannotAddNamespace = new(() =>
    {
        string name = $"md{Environment.ProcessId}probe";
        return Fails("ip", "netns", "add", name) ?? Fails("ip", "netns", "delete", name);
    });

    private static string? LacksOne(Needs need) => need switch
    {
        Needs.Userfaultfd => CannotOpen("/dev/userfaultfd"),
        Needs.Kvm => CannotOpen("/dev/kvm"),
        Needs.Root => Environment.IsPrivilegedProcess ? null : "needs root; run the tests as root",
        Needs.CCompiler => NotOnPath("cc"),
        Needs.Node => NotOnPath("node") ?? NotOnPath("npm"),
        Needs.Groff => NotOnPath("groff"),
        Needs.Bash => NotOnPath("bash"),
        Needs.Terminal => NotOnPath("script") ?? NotOnPath("stty"),
        Needs.Chromium => NotOnPath("chromium"),
        Needs.PreviousVersion => NotOnPath("git") ?? PreviousVersion.Lacks(),
        Needs.NativeCode => NotOnPath("clang") is null ? null : NotOnPath("gcc"),
        Needs.NetworkNamespaces => LacksOne(Needs.Root) ?? NotOnPath("ip") ?? NotOnPath("ss") ?? NotOnPath("tc") ?? NotOnPath("nsenter")
            ?? NotOnPath("iptables") ?? CannotAddNamespace.Value,
        _ => throw new ArgumentOutOfRangeException(nameof(need)),
    };

    private static string? CannotOpen(string device)
    {
        try
        {
            using var handle = File.OpenHandle(device, FileMode.Open, FileAccess.ReadWrite);
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return $"needs {device}: {error.Message}";
        }
    }

    private static string? Fails(params string[] command)
    {
        using Process process = Process.Start(new ProcessStartInfo(command[0], command.Skip(1)) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? null : $"needs network namespaces: {string.Join(' ', command)}: {error.Trim()}";
    }

    private static string? NotOnPath(string program)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return folders.Any(folder => File.Exists(Path.Combine(folder, program))) ? null : $"needs {program} on the PATH";
    }
}
