using MigrationD.Daemon.Options;
using Serilog;
using Serilog.Configuration;
using Serilog.Events;
using Serilog.Extensions.Logging;
using Serilog.Formatting.Compact;

namespace MigrationD.Daemon.Logging;

/// <summary>
/// Where the daemon's log goes: to the journal, with fields and priorities, where standard error leads there; otherwise to standard error,
/// as text on a terminal and as one JSON object a line elsewhere.
/// </summary>
internal static class DaemonLogging
{
    /// <summary>The name under which lanes log.</summary>
    public const string LanesSource = "migrationd.lanes";

    // A stranger who connects can make a daemon log this much: what is wrong with lanes and calls, and the limits of the server.
    private static readonly string[] StrangersSources = [LanesSource, "Microsoft.", "Grpc.", "MigrationD.Protocol.Calls."];

    private const string Text = "{Timestamp:HH:mm:ss.fff} {Level:u3} {Message:lj}{NewLine}{Exception}";

    public static ILoggerFactory Create(DaemonOptions options)
    {
        LoggerConfiguration configuration = new LoggerConfiguration()
            .MinimumLevel.Is(LevelConvert.ToSerilogLevel(options.LogLevel))
            // The server's own chatter is of interest only to those who ask for details.
            .MinimumLevel.Override("Microsoft", options.LogLevel <= LogLevel.Debug ? LogEventLevel.Debug : LogEventLevel.Warning)
            // HandlerRefusals says what a handler could not do; the library is left with strangers' mistakes.
            .MinimumLevel.Override("Grpc", options.LogLevel <= LogLevel.Debug ? LogEventLevel.Debug : LogEventLevel.Fatal)
            // A server that cannot start is the daemon's own error, and is told where it was started.
            .MinimumLevel.Override("Microsoft.Extensions.Hosting", LogEventLevel.Fatal)
            .Enrich.WithProperty("Node", options.Node);
        configuration.WriteTo.Sink(LoggerSinkConfiguration.Wrap(
            inner => new FloodGate(inner, StrangersSources, TimeProvider.System),
            to => _ = options.LogFormat switch
            {
                LogFormat.Text => WriteText(to),
                LogFormat.Json => WriteJson(to),
                _ when JournaldStream.IsStandardError() => to.Sink(new JournaldSink(JournaldSink.DefaultPath, Console.Error)),
                _ when Console.IsErrorRedirected => WriteJson(to),
                _ => WriteText(to),
            }));
        return new SerilogLoggerFactory(configuration.CreateLogger(), dispose: true);
    }

    private static LoggerConfiguration WriteText(LoggerSinkConfiguration to) => to.Console(
        outputTemplate: Text, formatProvider: System.Globalization.CultureInfo.InvariantCulture,
        standardErrorFromLevel: LogEventLevel.Verbose);

    // The keys are those that log tools know: @t time, @mt message template, @l level unless Information, @x exception, then properties.
    private static LoggerConfiguration WriteJson(LoggerSinkConfiguration to) =>
        to.Console(new CompactJsonFormatter(), standardErrorFromLevel: LogEventLevel.Verbose);
}
