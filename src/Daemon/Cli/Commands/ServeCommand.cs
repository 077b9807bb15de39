using System.CommandLine;
using System.Runtime.InteropServices;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Hosting;
using MigrationD.Daemon.Options;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Runs the daemon in the foreground.</summary>
internal sealed class ServeCommand : CliCommand
{
    /// <summary>
    /// Ends the daemon when its standard input reaches its end. For a parent process that must not leave a daemon behind, however it
    /// dies itself: the kernel closes its end of the pipe even after SIGKILL.
    /// </summary>
    public const string UntilInputEndsFlag = "--until-input-ends";

    private readonly DaemonFlags _options = new();
    private readonly Option<bool> _untilInputEnds = new(UntilInputEndsFlag) { Hidden = true };

    public ServeCommand()
        : base("serve", "Run the daemon in the foreground, until SIGTERM or Ctrl-C.")
    {
        Notes =
        [
            "Each option also has a key in the JSON file and an environment variable, e.g. logLevel and MIGRATIOND_LOG_LEVEL for",
            "--log-level. A flag wins over the environment, the environment over the file, the file over the default.",
        ];
        Examples =
        [
            "migrationd serve",
            "migrationd serve --node alpha --listen 127.0.0.1:7461 --lanes 127.0.0.1:7462 --control /run/migrationd/control.sock",
            "migrationd serve --listen 10.0.0.5:7461 --lanes 10.0.0.5:7462 --tls /etc/migrationd/tls",
            "MIGRATIOND_LOG_LEVEL=debug migrationd serve --config ./migrationd.json",
        ];
        _options.AddTo(this);
        Options.Add(_untilInputEnds);
        SetAction(RunAsync);
    }

    private async Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken)
    {
        var flags = _options.Given(parse);
        var options = DaemonFlags.Load(flags, "start the daemon");

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // From before it serves: System.CommandLine listens only once the daemon waits for something, and it may have to end by then.
        using var terminate = StopAt(PosixSignal.SIGTERM, stop);
        using var interrupt = StopAt(PosixSignal.SIGINT, stop);
        if (parse.GetValue(_untilInputEnds))
        {
            CancelAtEndOfInput(stop);
        }

        try
        {
            return await DaemonHost.RunAsync(options, () => DaemonOptions.Load(flags), stop.Token);
        }
        catch (IOException error)
        {
            throw new CliException(ExitCode.Failed, "cannot-start", $"cannot start the daemon: {error.Message}");
        }
    }

    private static PosixSignalRegistration StopAt(PosixSignal signal, CancellationTokenSource stop) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            Cancel(stop);
        });

    private static void Cancel(CancellationTokenSource stop)
    {
        try
        {
            stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The daemon has ended by itself meanwhile.
        }
    }

    private static void CancelAtEndOfInput(CancellationTokenSource inputEnded)
    {
        var reader = new Thread(() =>
        {
            using var input = Console.OpenStandardInput();
            try
            {
                Span<byte> ignored = stackalloc byte[64];
                while (input.Read(ignored) > 0)
                {
                }
            }
            catch (IOException)
            {
                // A broken pipe ends the input as well.
            }

            Cancel(inputEnded);
        })
        {
            IsBackground = true,
            Name = "stdin-watch",
        };
        reader.Start();
    }
}
