using System.Runtime.CompilerServices;
using Grpc.Core;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Client;

/// <summary>
/// A daemon as the CLI sees it: calls over its control socket, whose failures become sentences for people and exit codes for scripts.
/// </summary>
internal sealed class ControlClient : IDisposable
{
    /// <summary>
    /// How long a call may take that only looks something up or asks for a state; generous, as making a guest's memory counts
    /// in.
    /// </summary>
    private static readonly TimeSpan CallDeadline = TimeSpan.FromMinutes(1);

    /// <summary>Hashing reads all of the guest's memory: at 1 GB/s this is enough for 0.5 TiB.</summary>
    private static readonly TimeSpan HashDeadline = TimeSpan.FromMinutes(10);

    /// <summary>Who asks for a daemon's health wants an answer soon, whichever; the daemon's own checks take two seconds at most.</summary>
    private static readonly TimeSpan HealthDeadline = TimeSpan.FromSeconds(5);

    private readonly CallChannel _channel;
    private readonly Control.ControlClient _daemon;
    private readonly string _socketPath;

    /// <summary>A client of the daemon at this socket. Connects when first used.</summary>
    /// <param name="socketPath">Absolute path of the control socket.</param>
    public ControlClient(string socketPath)
    {
        _socketPath = socketPath;
        _channel = CallChannel.Connect("unix:" + socketPath);
        _daemon = new Control.ControlClient(_channel.Invoker);
    }

    /// <summary>What the daemon says of itself.</summary>
    public Task<Node> GetNodeAsync(CancellationToken cancellation) =>
        CallAsync("ask the daemon for its name", _daemon.GetNodeAsync, new GetNodeRequest(), CallDeadline, cancellation);

    /// <summary>The configuration that is in force in the daemon.</summary>
    public async Task<IReadOnlyList<ConfigValue>> GetConfigAsync(CancellationToken cancellation) =>
        (await CallAsync("ask the daemon for its configuration", _daemon.GetConfigAsync, new GetConfigRequest(), CallDeadline, cancellation))
            .Values;

    /// <summary>Whether the daemon can do its work now, as it finds itself.</summary>
    public Task<Health> GetHealthAsync(CancellationToken cancellation) =>
        CallAsync("ask the daemon for its health", _daemon.GetHealthAsync, new GetHealthRequest(), HealthDeadline, cancellation);

    /// <summary>Creates a guest and lets it run.</summary>
    public Task<Protocol.V1.Guest> CreateGuestAsync(GuestSpec spec, CancellationToken cancellation) =>
        CallAsync($"create guest {spec.Name}", _daemon.CreateGuestAsync, new CreateGuestRequest { Spec = spec }, CallDeadline, cancellation);

    /// <summary>Every guest of the daemon.</summary>
    public async Task<IReadOnlyList<Protocol.V1.Guest>> ListGuestsAsync(CancellationToken cancellation) =>
        (await CallAsync("list the guests", _daemon.ListGuestsAsync, new ListGuestsRequest(), CallDeadline, cancellation)).Guests;

    /// <summary>One guest.</summary>
    public Task<Protocol.V1.Guest> GetGuestAsync(string name, CancellationToken cancellation) =>
        CallAsync($"show guest {name}", _daemon.GetGuestAsync, new GetGuestRequest { Name = name }, CallDeadline, cancellation);

    /// <summary>Stops a guest's vCPUs.</summary>
    public Task<Protocol.V1.Guest> PauseGuestAsync(string name, CancellationToken cancellation) =>
        CallAsync($"pause guest {name}", _daemon.PauseGuestAsync, new PauseGuestRequest { Name = name }, CallDeadline, cancellation);

    /// <summary>Lets a paused guest go on.</summary>
    public Task<Protocol.V1.Guest> ResumeGuestAsync(string name, CancellationToken cancellation) =>
        CallAsync($"resume guest {name}", _daemon.ResumeGuestAsync, new ResumeGuestRequest { Name = name }, CallDeadline, cancellation);

    /// <summary>Ends a guest and frees its memory.</summary>
    public Task DeleteGuestAsync(string name, CancellationToken cancellation) =>
        CallAsync($"delete guest {name}", _daemon.DeleteGuestAsync, new DeleteGuestRequest { Name = name }, CallDeadline, cancellation);

    /// <summary>SHA-256 of a paused guest's memory, in lower-case hexadecimal.</summary>
    public async Task<string> HashGuestAsync(string name, CancellationToken cancellation) =>
        (await CallAsync($"hash guest {name}", _daemon.HashGuestAsync, new HashGuestRequest { Name = name }, HashDeadline, cancellation)).Sha256;

    /// <summary>The memory of a guest that stands still, in ascending order, the summary last.</summary>
    public async IAsyncEnumerable<DumpChunk> DumpGuestAsync(string name, [EnumeratorCancellation] CancellationToken cancellation)
    {
        // No deadline: how long it takes is a matter of the disk that it is written to.
        await using var chunks = _daemon.DumpGuest(new DumpGuestRequest { Name = name }, cancellationToken: cancellation)
            .ReadToEndAsync(cancellation)
            .GetAsyncEnumerator(cancellation);
        while (await NextAsync(chunks, $"dump guest {name}"))
        {
            yield return chunks.Current;
        }
    }

    /// <summary>What a guest wrote on its serial port, from wherever it is, with words about where that is.</summary>
    /// <param name="name">The guest.</param>
    /// <param name="follow">Whether to go on with what it writes from now on.</param>
    /// <param name="cancellation">Ends it.</param>
    public async IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(
        string name, bool follow, [EnumeratorCancellation] CancellationToken cancellation)
    {
        // No deadline: it lasts for as long as somebody wants to look.
        await using var chunks = _daemon
            .ReadConsole(new ReadConsoleRequest { Name = name, Follow = follow }, cancellationToken: cancellation)
            .ReadToEndAsync(cancellation)
            .GetAsyncEnumerator(cancellation);
        while (await NextAsync(chunks, $"read the console of guest {name}"))
        {
            yield return chunks.Current;
        }
    }

    /// <summary>Starts a migration.</summary>
    public Task<Migration> MigrateAsync(MigrateRequest request, CancellationToken cancellation) =>
        CallAsync($"migrate guest {request.Guest} to {request.To}", _daemon.MigrateAsync, request, CallDeadline, cancellation);

    /// <summary>Every migration that the daemon remembers.</summary>
    public async Task<IReadOnlyList<Migration>> ListMigrationsAsync(CancellationToken cancellation) =>
        (await CallAsync("list the migrations", _daemon.ListMigrationsAsync, new ListMigrationsRequest(), CallDeadline, cancellation)).Migrations;

    /// <summary>One migration.</summary>
    public Task<Migration> GetMigrationAsync(string id, CancellationToken cancellation) =>
        CallAsync($"show migration {id}", _daemon.GetMigrationAsync, new GetMigrationRequest { Id = id }, CallDeadline, cancellation);

    /// <summary>A migration as it is now and whenever it has changed, the final state last.</summary>
    public async IAsyncEnumerable<Migration> WatchMigrationAsync(
        string id, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var tried = $"watch migration {id}";
        var last = MigrationState.Unspecified;

        // No deadline: a migration may be paused for as long as its link is down.
        await using var updates = _daemon.WatchMigration(new WatchMigrationRequest { Id = id }, cancellationToken: cancellation)
            .ReadToEndAsync(cancellation)
            .GetAsyncEnumerator(cancellation);
        while (await NextAsync(updates, tried))
        {
            last = updates.Current.State;
            yield return updates.Current;
        }

        if (!MigrationRecord.IsFinalState(last))
        {
            throw new CliException(ExitCode.Failed, "aborted",
                $"cannot {tried} any further: the daemon at {_socketPath} ended the stream while its state was {Words.Of(last)}; "
                + $"see 'migrationd migration show {id}'");
        }
    }

    /// <summary>Ends precopy.</summary>
    public Task<Migration> StartPostcopyAsync(string id, CancellationToken cancellation) =>
        CallAsync(
            $"start post-copy in migration {id}", _daemon.StartPostcopyAsync, new StartPostcopyRequest { Id = id }, CallDeadline, cancellation);

    /// <summary>Changes limits of a migration that is under way.</summary>
    public Task<Migration> SetMigrationAsync(SetMigrationRequest request, CancellationToken cancellation) =>
        CallAsync($"change limits of migration {request.Id}", _daemon.SetMigrationAsync, request, CallDeadline, cancellation);

    /// <summary>Stops a migration before its switchover.</summary>
    public Task<Migration> CancelMigrationAsync(string id, CancellationToken cancellation) =>
        CallAsync($"cancel migration {id}", _daemon.CancelMigrationAsync, new CancelMigrationRequest { Id = id }, CallDeadline, cancellation);

    /// <summary>Has the destination of a paused migration dialled again.</summary>
    /// <param name="id">The migration.</param>
    /// <param name="to">HOST:PORT of the destination, empty for where it was.</param>
    /// <param name="cancellation">Ends the call, not the order.</param>
    public Task<Migration> RecoverMigrationAsync(string id, string to, CancellationToken cancellation) =>
        CallAsync(
            $"recover migration {id}", _daemon.RecoverMigrationAsync, new RecoverMigrationRequest { Id = id, To = to }, CallDeadline,
            cancellation);

    /// <summary>Decides that the other side of a migration is gone for good.</summary>
    public Task<Migration> ResolveMigrationAsync(string id, Resolution resolution, bool force, CancellationToken cancellation) =>
        CallAsync(
            resolution == Resolution.GiveUp ? $"give up the source of migration {id}" : $"resume here in migration {id}",
            _daemon.ResolveMigrationAsync, new ResolveMigrationRequest { Id = id, Resolution = resolution, Force = force }, CallDeadline,
            cancellation);

    /// <summary>Empties the daemon for as long as the enumeration goes on.</summary>
    public async IAsyncEnumerable<DrainUpdate> DrainAsync(DrainRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Tried = "drain the daemon";
        var ended = false;

        // No deadline: how long it takes is a matter of the guests and of the network.
        await using var updates = _daemon.Drain(request, cancellationToken: cancellation)
            .ReadToEndAsync(cancellation)
            .GetAsyncEnumerator(cancellation);
        while (await NextAsync(updates, Tried))
        {
            ended |= updates.Current.Ended;
            yield return updates.Current;
        }

        if (!ended)
        {
            throw new CliException(ExitCode.Failed, "aborted",
                $"cannot {Tried} any further: the daemon at {_socketPath} ended the stream before the end; see 'migrationd migration list', and "
                + "go on with 'migrationd drain'");
        }
    }

    /// <summary>Lets the daemon take in guests again.</summary>
    public Task<Node> UndrainAsync(CancellationToken cancellation) =>
        CallAsync("undrain the daemon", _daemon.UndrainAsync, new UndrainRequest(), CallDeadline, cancellation);

    /// <inheritdoc/>
    public void Dispose() => _channel.Dispose();

    private async Task<TResponse> CallAsync<TRequest, TResponse>(
        string tried, Method<TRequest, TResponse> method, TRequest request, TimeSpan deadline, CancellationToken cancellation)
    {
        try
        {
            return await method(request, deadline: DateTime.UtcNow + deadline, cancellationToken: cancellation);
        }
        catch (Refusal error)
        {
            throw Explain(tried, error);
        }
    }

    private async ValueTask<bool> NextAsync<T>(IAsyncEnumerator<T> updates, string tried)
    {
        try
        {
            return await updates.MoveNextAsync();
        }
        catch (Refusal error)
        {
            throw Explain(tried, error);
        }
    }

    private CliException Explain(string tried, Refusal error) =>
        ControlFailure.Explain(tried, _socketPath, File.Exists(_socketPath), error);

    /// <summary>What generated clients have for each method that answers with one message.</summary>
    private delegate AsyncUnaryCall<TResponse> Method<TRequest, TResponse>(
        TRequest request, Metadata? headers = null, DateTime? deadline = null, CancellationToken cancellationToken = default);
}
