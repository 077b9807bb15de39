using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Reflection;
using MigrationD.Protocol.Lanes.Contract;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>The child process that runs <see cref="LanesPeer"/>.</summary>
internal sealed class PeerProcess : IDisposable
{
    private readonly Process _process;

    /// <summary>Starts it with that much memory to send from; more than a core's own caches hold, as guest memory is.</summary>
    public PeerProcess(int memoryMiB = 64)
    {
        string program = Environment.ProcessPath ?? throw new InvalidOperationException("this process does not know its own program");
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
        {
            start.ArgumentList.Add(Assembly.GetExecutingAssembly().Location);
        }

        start.ArgumentList.Add(LanesPeer.Command);
        start.ArgumentList.Add(memoryMiB.ToString(CultureInfo.InvariantCulture));
        string identity = LanesIdentity.Create();
        start.Environment[LanesPeer.IdentityVariable] = identity;
        SecureOptions = new LaneOptions { Tls = LanesIdentity.Load(identity) };
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        string[] ports = ReadLine().Split(' ');
        Lanes = new IPEndPoint(IPAddress.Loopback, int.Parse(ports[0], CultureInfo.InvariantCulture));
        SecureLanes = new IPEndPoint(IPAddress.Loopback, int.Parse(ports[1], CultureInfo.InvariantCulture));
        Raw = new IPEndPoint(IPAddress.Loopback, int.Parse(ports[2], CultureInfo.InvariantCulture));
    }

    public IPEndPoint Lanes { get; }

    public IPEndPoint SecureLanes { get; }

    /// <summary>What <see cref="SecureLanes"/> wants.</summary>
    public LaneOptions SecureOptions { get; }

    public IPEndPoint Raw { get; }

    /// <summary>CPU time of both processes together.</summary>
    public TimeSpan CpuOfBothEnds()
    {
        _process.StandardInput.WriteLine();
        _process.StandardInput.Flush();
        var theirs = TimeSpan.FromMicroseconds(long.Parse(ReadLine(), CultureInfo.InvariantCulture));
        return theirs + Environment.CpuUsage.TotalTime;
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(10)))
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private string ReadLine() => _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("the peer process has ended");
}
