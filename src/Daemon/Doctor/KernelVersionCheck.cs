using System.Text.RegularExpressions;

namespace MigrationD.Daemon.Doctor;

/// <summary>Linux 6.8 or newer: the first with UFFDIO_MOVE.</summary>
internal static partial class KernelVersionCheck
{
    private const string Name = "kernel";
    private static readonly Version Required = new(6, 8);

    public static DoctorFinding Run() => Judge(HostFile.TryRead("/proc/sys/kernel/osrelease"));

    /// <summary>Judges the text of /proc/sys/kernel/osrelease, e.g. <c>6.12.43+deb13-amd64</c>.</summary>
    public static DoctorFinding Judge(string? release)
    {
        var text = release?.Trim() ?? "";
        var match = MajorMinor().Match(text);
        if (!match.Success
            || !int.TryParse(match.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var major)
            || !int.TryParse(match.Groups[2].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var minor))
        {
            return new(Name, DoctorStatus.Warning, $"cannot tell the version from \"{text}\"",
                "check with 'uname -r' that it is 6.8 or newer");
        }

        return new Version(major, minor) >= Required
            ? new(Name, DoctorStatus.Ok, $"Linux {text}")
            : new(Name, DoctorStatus.Missing, $"Linux {text}; pages are moved into place by UFFDIO_MOVE, which came with 6.8",
                "install Linux 6.8 or newer (Debian 12: apt install -t bookworm-backports linux-image-amd64; Debian 13 and Ubuntu 24.04 "
                    + "have it) and reboot");
    }

    [GeneratedRegex(@"^(\d+)\.(\d+)")]
    private static partial Regex MajorMinor();
}
