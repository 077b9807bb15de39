using Microsoft.Extensions.Logging;
using Serilog;
using Serilog.Configuration;
using Serilog.Events;
using Serilog.Extensions.Logging;

namespace MigrationD.Daemon.Hosting;

/// <summary>Where the daemon's log goes: standard error, as text on a terminal and as one JSON object a line elsewhere.</summary>
internal static class DaemonLogging
{
    /// <summary>Under which name lanes log.</summary>
    public const string LanesSource = "migrationd.lanes";

    // What a stranger can make a daemon log by connecting to it: what is wrong with lanes and calls, and the limits of the server.
    private static readonly string[] StrangersSources = [LanesSource, "Microsoft.", typeof(Protocol.Grpc.GrpcEndpoints).FullName!];

    private const string Text = "{Timestamp:HH:mm:ss.fff} {Level:u3} {Message:lj}{NewLine}{Exception}";

    public static ILoggerFactory Create(DaemonOptions options)
    {
        bool json = options.LogFormat switch
        {
            LogFormat.Json => true,
            LogFormat.Text => false,
            _ => Console.IsErrorRedirected,
        };
        LoggerConfiguration configuration = new LoggerConfiguration()
            .MinimumLevel.Is(LevelConvert.ToSerilogLevel(options.LogLevel))
            // The server's own chatter is of interest only to who asks for details.
            .MinimumLevel.Override("Microsoft", options.LogLevel <= LogLevel.Debug ? LogEventLevel.Debug : LogEventLevel.Warning)
            // A server that cannot start is the daemon's own error, and is told by whoever started it.
            .MinimumLevel.Override("Microsoft.Extensions.Hosting", LogEventLevel.Fatal)
            .Enrich.WithProperty("Node", options.Node);
        configuration = LoggerSinkConfiguration.Wrap(
            configuration.WriteTo,
            inner => new FloodGate(inner, StrangersSources, TimeProvider.System),
            to => _ = json
                ? to.Console(new CompactJsonFormatter(), standardErrorFromLevel: LogEventLevel.Verbose)
                : to.Console(
                    outputTemplate: Text, formatProvider: System.Globalization.CultureInfo.InvariantCulture,
                    standardErrorFromLevel: LogEventLevel.Verbose));
        return new SerilogLoggerFactory(configuration.CreateLogger(), dispose: true);
    }
}
