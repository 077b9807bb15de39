using System.Runtime.CompilerServices;
using Grpc.Core;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Client;

/// <summary>
/// A daemon as the CLI sees it: calls over its control socket, whose failures become sentences for people and exit codes for scripts.
/// </summary>
internal sealed class ControlClient : IDisposable
{
    /// <summary>Generous, as making a guest's memory counts in.</summary>
    private static readonly TimeSpan CallDeadline = TimeSpan.FromMinutes(1);

    /// <summary>Hashing reads all of the guest's memory: at 1 GB/s this is enough for 0.5 TiB.</summary>
    private static readonly TimeSpan HashDeadline = TimeSpan.FromMinutes(10);

    /// <summary>Who asks for a daemon's health wants an answer soon, whichever; the daemon's own checks take two seconds at most.</summary>
    private static readonly TimeSpan HealthDeadline = TimeSpan.FromSeconds(5);

    private readonly CallChannel _channel;
    private readonly Control.ControlClient _daemon;
    private readonly string _socketPath;

    /// <summary>A client of the daemon at this socket, by its absolute path. Connects when first used.</summary>
    public ControlClient(string socketPath)
    {
        _socketPath = socketPath;
        _channel = CallChannel.Connect("unix:" + socketPath);
        _daemon = new Control.ControlClient(_channel.Invoker);
    }

    public Task<Node> GetNodeAsync(CancellationToken cancellationToken) =>
        CallAsync("ask the daemon for its name", _daemon.GetNodeAsync, new GetNodeRequest(), cancellationToken);

    public async Task<IReadOnlyList<ConfigValue>> GetConfigAsync(CancellationToken cancellationToken) =>
        (await CallAsync("ask the daemon for its configuration", _daemon.GetConfigAsync, new GetConfigRequest(), cancellationToken)).Values;

    public Task<Health> GetHealthAsync(CancellationToken cancellationToken) =>
        CallAsync("ask the daemon for its health", _daemon.GetHealthAsync, new GetHealthRequest(), cancellationToken, HealthDeadline);

    public Task<Protocol.V1.Guest> CreateGuestAsync(GuestSpec spec, CancellationToken cancellationToken) =>
        CallAsync($"create guest {spec.Name}", _daemon.CreateGuestAsync, new CreateGuestRequest { Spec = spec }, cancellationToken);

    public async Task<IReadOnlyList<Protocol.V1.Guest>> ListGuestsAsync(CancellationToken cancellationToken) =>
        (await CallAsync("list the guests", _daemon.ListGuestsAsync, new ListGuestsRequest(), cancellationToken)).Guests;

    public Task<Protocol.V1.Guest> GetGuestAsync(string name, CancellationToken cancellationToken) =>
        CallAsync($"show guest {name}", _daemon.GetGuestAsync, new GetGuestRequest { Name = name }, cancellationToken);

    public Task<Protocol.V1.Guest> PauseGuestAsync(string name, CancellationToken cancellationToken) =>
        CallAsync($"pause guest {name}", _daemon.PauseGuestAsync, new PauseGuestRequest { Name = name }, cancellationToken);

    public Task<Protocol.V1.Guest> ResumeGuestAsync(string name, CancellationToken cancellationToken) =>
        CallAsync($"resume guest {name}", _daemon.ResumeGuestAsync, new ResumeGuestRequest { Name = name }, cancellationToken);

    public Task<DeleteGuestResponse> DeleteGuestAsync(string name, CancellationToken cancellationToken) =>
        CallAsync($"delete guest {name}", _daemon.DeleteGuestAsync, new DeleteGuestRequest { Name = name }, cancellationToken);

    /// <summary>Asks for SHA-256 of a paused guest's memory, in lower-case hexadecimal.</summary>
    public async Task<string> HashGuestAsync(string name, CancellationToken cancellationToken) =>
        (await CallAsync(
            $"hash guest {name}", _daemon.HashGuestAsync, new HashGuestRequest { Name = name }, cancellationToken, HashDeadline)).Sha256;

    /// <summary>Reads the memory of a guest that stands still, in ascending order, the summary last.</summary>
    public IAsyncEnumerable<DumpChunk> DumpGuestAsync(string name, CancellationToken cancellationToken) =>
        ReadAsync($"dump guest {name}", _daemon.DumpGuest, new DumpGuestRequest { Name = name }, cancellationToken);

    /// <summary>
    /// Reads what a guest wrote on its serial port, from wherever the guest is, with words about where that is; with
    /// <paramref name="follow"/> also what it writes from now on.
    /// </summary>
    public IAsyncEnumerable<ConsoleChunk> ReadConsoleAsync(string name, bool follow, CancellationToken cancellationToken) => ReadAsync(
        $"read the console of guest {name}", _daemon.ReadConsole, new ReadConsoleRequest { Name = name, Follow = follow },
        cancellationToken);

    public Task<Migration> MigrateAsync(MigrateRequest request, CancellationToken cancellationToken) =>
        CallAsync($"migrate guest {request.Guest} to {request.To}", _daemon.MigrateAsync, request, cancellationToken);

    public async Task<IReadOnlyList<Migration>> ListMigrationsAsync(CancellationToken cancellationToken) =>
        (await CallAsync("list the migrations", _daemon.ListMigrationsAsync, new ListMigrationsRequest(), cancellationToken)).Migrations;

    public Task<Migration> GetMigrationAsync(string id, CancellationToken cancellationToken) =>
        CallAsync($"show migration {id}", _daemon.GetMigrationAsync, new GetMigrationRequest { Id = id }, cancellationToken);

    /// <summary>Reads a migration as it is now and whenever it has changed, the final state last.</summary>
    public async IAsyncEnumerable<Migration> WatchMigrationAsync(
        string id, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var tried = $"watch migration {id}";
        var last = MigrationState.Unspecified;
        await foreach (var update in ReadAsync(
            tried, _daemon.WatchMigration, new WatchMigrationRequest { Id = id }, cancellationToken))
        {
            last = update.State;
            yield return update;
        }

        if (!MigrationRecord.IsFinalState(last))
        {
            throw new CliException(ExitCode.Failed, "aborted",
                $"cannot {tried} any further: the daemon at {_socketPath} ended the stream while its state was {Words.Of(last)}; "
                + $"see 'migrationd migration show {id}'");
        }
    }

    public Task<Migration> StartPostcopyAsync(string id, CancellationToken cancellationToken) => CallAsync(
        $"start post-copy in migration {id}", _daemon.StartPostcopyAsync, new StartPostcopyRequest { Id = id }, cancellationToken);

    /// <summary>Changes limits of a migration that is under way.</summary>
    public Task<Migration> SetMigrationAsync(SetMigrationRequest request, CancellationToken cancellationToken) =>
        CallAsync($"change limits of migration {request.Id}", _daemon.SetMigrationAsync, request, cancellationToken);

    public Task<Migration> CancelMigrationAsync(string id, CancellationToken cancellationToken) =>
        CallAsync($"cancel migration {id}", _daemon.CancelMigrationAsync, new CancelMigrationRequest { Id = id }, cancellationToken);

    /// <summary>Has the destination of a paused migration dialled again: at this HOST:PORT, or where it was if that is empty.</summary>
    public Task<Migration> RecoverMigrationAsync(string id, string to, CancellationToken cancellationToken) => CallAsync(
        $"recover migration {id}", _daemon.RecoverMigrationAsync, new RecoverMigrationRequest { Id = id, To = to }, cancellationToken);

    /// <summary>Decides that the other side of a migration is gone for good.</summary>
    public Task<Migration> ResolveMigrationAsync(string id, Resolution resolution, bool force, CancellationToken cancellationToken) =>
        CallAsync(
            resolution == Resolution.GiveUp ? $"give up the source of migration {id}" : $"resume here in migration {id}",
            _daemon.ResolveMigrationAsync, new ResolveMigrationRequest { Id = id, Resolution = resolution, Force = force },
            cancellationToken);

    /// <summary>Empties the daemon for as long as the enumeration goes on.</summary>
    public async IAsyncEnumerable<DrainUpdate> DrainAsync(
        DrainRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        const string Tried = "drain the daemon";
        var ended = false;
        await foreach (var update in ReadAsync(Tried, _daemon.Drain, request, cancellationToken))
        {
            ended |= update.Ended;
            yield return update;
        }

        if (!ended)
        {
            throw new CliException(ExitCode.Failed, "aborted",
                $"cannot {Tried} any further: the daemon at {_socketPath} ended the stream before the end; see "
                + "'migrationd migration list', and go on with 'migrationd drain'");
        }
    }

    public Task<Node> UndrainAsync(CancellationToken cancellationToken) =>
        CallAsync("undrain the daemon", _daemon.UndrainAsync, new UndrainRequest(), cancellationToken);

    public void Dispose() => _channel.Dispose();

    private async Task<TResponse> CallAsync<TRequest, TResponse>(
        string tried, Call<TRequest, AsyncUnaryCall<TResponse>> call, TRequest request, CancellationToken cancellationToken,
        TimeSpan? deadline = null)
    {
        try
        {
            return await call(request, deadline: DateTime.UtcNow + (deadline ?? CallDeadline), cancellationToken: cancellationToken);
        }
        catch (Refusal error)
        {
            throw Explain(tried, error);
        }
    }

    /// <summary>Reads a stream. It has no deadline: disks, guests, links and those who look at it say how long it lasts.</summary>
    private async IAsyncEnumerable<TResponse> ReadAsync<TRequest, TResponse>(
        string tried, Call<TRequest, AsyncServerStreamingCall<TResponse>> call, TRequest request,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var messages = call(request, cancellationToken: cancellationToken)
            .ReadToEndAsync(cancellationToken)
            .GetAsyncEnumerator(cancellationToken);
        while (await NextAsync(messages, tried))
        {
            yield return messages.Current;
        }
    }

    private async ValueTask<bool> NextAsync<T>(IAsyncEnumerator<T> messages, string tried)
    {
        try
        {
            return await messages.MoveNextAsync();
        }
        catch (Refusal error)
        {
            throw Explain(tried, error);
        }
    }

    private CliException Explain(string tried, Refusal error) =>
        ControlFailure.Explain(tried, _socketPath, File.Exists(_socketPath), error);

    /// <summary>A method of a generated client.</summary>
    private delegate TCall Call<TRequest, TCall>(
        TRequest request, Metadata? headers = null, DateTime? deadline = null, CancellationToken cancellationToken = default);
}
