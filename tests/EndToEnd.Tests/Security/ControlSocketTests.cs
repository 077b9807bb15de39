using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Security;

/// <summary>Who may tell a daemon what to do: root, its own user, and its group. Nobody else, however the socket's mode is.</summary>
public sealed class ControlSocketTests
{
    // nobody and nogroup of a Debian host; any user who is neither root nor a member of the socket's group does.
    private const string Nobody = "65534";

    [MachineFact(Needs.Userfaultfd | Needs.Kvm | Needs.Root)]
    public async Task A_stranger_is_refused()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        OpenToAll(daemon);
        (int exit, string error) = AsUser(daemon, Nobody, Nobody);
        Assert.NotEqual(0, exit);
        Assert.Contains("control.sock", error, StringComparison.Ordinal);
        await daemon.LogUntilAsync("Refused {Caller} at the control socket");
        await daemon.LogUntilAsync($"of user {Nobody}");
    }

    [MachineFact(Needs.Userfaultfd | Needs.Kvm | Needs.Root)]
    public async Task A_member_of_the_group_is_let_in()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", "--control-group", "nogroup");
        File.SetUnixFileMode(Path.GetDirectoryName(daemon.Control)!, Everybody);
        UnixFileMode mode = File.GetUnixFileMode(daemon.Control);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, mode);
        (int exit, string error) = AsUser(daemon, "1", Nobody);
        Assert.True(exit == 0, error);
        // As a further group as well.
        (exit, error) = AsUser(daemon, "1", "1", "--groups", Nobody);
        Assert.True(exit == 0, error);
        (exit, _) = AsUser(daemon, "1", "1", "--clear-groups");
        Assert.NotEqual(0, exit);
    }

    private static UnixFileMode Everybody =>
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private static void OpenToAll(DaemonProcess daemon)
    {
        File.SetUnixFileMode(Path.GetDirectoryName(daemon.Control)!, Everybody);
        File.SetUnixFileMode(daemon.Control, (UnixFileMode)0x1B6);
    }

    private static (int ExitCode, string Error) AsUser(DaemonProcess daemon, string user, string group, params string[] more)
    {
        ProcessStartInfo start = ProgramUnderTest.Start("node", "--control", daemon.Control);
        string[] rank = ["--reuid", user, "--regid", group, .. more.Length == 0 ? ["--clear-groups"] : more, start.FileName];
        for (int i = 0; i < rank.Length; i++)
        {
            start.ArgumentList.Insert(i, rank[i]);
        }

        start.FileName = "setpriv";
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, error);
    }
}
