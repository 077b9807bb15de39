using System.Reflection;

namespace MigrationD.Daemon.Notation;

/// <summary>The version of this build.</summary>
internal static class DaemonVersion
{
    /// <summary>The version in Directory.Build.props, with the commit when the build knew it.</summary>
    public static string Text { get; } =
        typeof(DaemonVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
