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

    private static string? LacksOne(Needs need) => need switch
    {
        Needs.Userfaultfd => CannotOpen("/dev/userfaultfd"),
        Needs.Kvm => CannotOpen("/dev/kvm"),
        Needs.Root => Environment.IsPrivilegedProcess ? null : "needs root; run the tests as root",
        Needs.CCompiler => NotOnPath("cc"),
        Needs.Node => NotOnPath("node") ?? NotOnPath("npm"),
        Needs.NetworkNamespaces => LacksOne(Needs.Root)
            ?? NotOnPath("ip") ?? NotOnPath("tc") ?? NotOnPath("ss") ?? NotOnPath("iptables") ?? NotOnPath("nsenter"),
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

    private static string? NotOnPath(string program)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return folders.Any(folder => File.Exists(Path.Combine(folder, program))) ? null : $"needs {program} on the PATH";
    }
}
