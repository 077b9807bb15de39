using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>
/// A real gRPC server on a unix socket whose answers the test decides. What it serves is the protocol; what it lacks is guests: the
/// end-to-end tests have those.
/// </summary>
internal sealed class ScriptedDaemon : Control.ControlBase, IAsyncDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("migrationd-test-");
    private readonly WebApplication _server;

    private ScriptedDaemon()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(this).AddCalls();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            kestrel.ListenUnixSocket(Socket);
        });
        _server = builder.Build();
        _server.UseCalls();
        _server.MapGrpcService<ScriptedDaemon>();
    }

    public string Socket => Path.Combine(_folder.FullName, "control.sock");

    /// <summary>What GetHealth answers.</summary>
    public Health Health { get; } = new()
    {
        Node = "alpha",
        Checks = { new HealthCheck { Name = "lanes", Ok = true, Found = "taken" }, new HealthCheck { Name = "kvm", Ok = true, Found = "opens" } },
    };

    public List<Protocol.V1.Guest> Guests { get; } = [Samples.Guest()];

    /// <summary>What WatchMigration answers.</summary>
    public List<Migration> Updates { get; } = [];

    /// <summary>Whether the stream stays open after the last update.</summary>
    public bool WatchForever { get; set; }

    /// <summary>Done when somebody has received every update and still watches.</summary>
    public TaskCompletionSource Watched { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>What the last CreateGuest asked for.</summary>
    public GuestSpec? Created { get; private set; }

    /// <summary>The last Migrate.</summary>
    public MigrateRequest? Asked { get; private set; }

    /// <summary>The last RecoverMigration.</summary>
    public RecoverMigrationRequest? RecoverAsked { get; private set; }

    /// <summary>The last ResolveMigration.</summary>
    public ResolveMigrationRequest? ResolveAsked { get; private set; }

    /// <summary>What DumpGuest answers.</summary>
    public List<DumpChunk> Chunks { get; } = [];

    /// <summary>How DumpGuest ends after the chunks; null for well.</summary>
    public Refusal? DumpFailure { get; set; }

    /// <summary>What ReadConsole answers.</summary>
    public List<ConsoleChunk> Console { get; } = [];

    /// <summary>The last ReadConsole.</summary>
    public ReadConsoleRequest? ConsoleAsked { get; private set; }

    /// <summary>What Drain answers.</summary>
    public List<DrainUpdate> DrainUpdates { get; } = [];

    /// <summary>Whether the stream of Drain stays open after the last update.</summary>
    public bool DrainForever { get; set; }

    /// <summary>Done when somebody has received every update of Drain and still listens.</summary>
    public TaskCompletionSource Drained { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The last Drain.</summary>
    public DrainRequest? DrainAsked { get; private set; }

    public static async Task<ScriptedDaemon> StartAsync()
    {
        var daemon = new ScriptedDaemon();
        await daemon._server.StartAsync();
        return daemon;
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    public override Task<Node> GetNode(GetNodeRequest request, ServerCallContext context) =>
        Task.FromResult(new Node { Name = "alpha", Listen = "127.0.0.1:7461" });

    public override Task<Health> GetHealth(GetHealthRequest request, ServerCallContext context) => Task.FromResult(Health);

    public override Task<Protocol.V1.Guest> CreateGuest(CreateGuestRequest request, ServerCallContext context)
    {
        Created = request.Spec;
        return request.Spec.Name == "taken"
            ? throw new Refusal(Because.AlreadyThere, $"guest {request.Spec.Name} exists")
            : Task.FromResult(new Protocol.V1.Guest { Spec = request.Spec, State = GuestState.Running });
    }

    public override Task<ListGuestsResponse> ListGuests(ListGuestsRequest request, ServerCallContext context) =>
        Task.FromResult(new ListGuestsResponse { Guests = { Guests } });

    public override Task<Protocol.V1.Guest> GetGuest(GetGuestRequest request, ServerCallContext context) =>
        Task.FromResult(Find(request.Name));

    public override Task<Protocol.V1.Guest> PauseGuest(PauseGuestRequest request, ServerCallContext context) =>
        Task.FromResult(Find(request.Name));

    public override Task<DeleteGuestResponse> DeleteGuest(DeleteGuestRequest request, ServerCallContext context)
    {
        Guests.Remove(Find(request.Name));
        return Task.FromResult(new DeleteGuestResponse());
    }

    public override Task<HashGuestResponse> HashGuest(HashGuestRequest request, ServerCallContext context) =>
        throw new Refusal(Because.NotNow, $"guest {request.Name} is running; pause it first");

    public override Task<Migration> Migrate(MigrateRequest request, ServerCallContext context)
    {
        Asked = request;
        return Task.FromResult(Samples.Migration(MigrationState.Setup));
    }

    public override Task<ListMigrationsResponse> ListMigrations(ListMigrationsRequest request, ServerCallContext context) =>
        Task.FromResult(new ListMigrationsResponse { Migrations = { Updates } });

    public override Task<Migration> GetMigration(GetMigrationRequest request, ServerCallContext context) => Task.FromResult(Updates[^1]);

    public override Task<Migration> CancelMigration(CancelMigrationRequest request, ServerCallContext context) => throw new Refusal(
        Because.NotNow, $"cancel migration {request.Id} of guest 'web': it is postcopy-active; too late");

    public override Task<Migration> RecoverMigration(RecoverMigrationRequest request, ServerCallContext context)
    {
        RecoverAsked = request;
        return Task.FromResult(Updates[0]);
    }

    public override Task<Migration> ResolveMigration(ResolveMigrationRequest request, ServerCallContext context)
    {
        ResolveAsked = request;
        return Task.FromResult(Updates[0]);
    }

    public override Task DumpGuest(DumpGuestRequest request, IServerStreamWriter<DumpChunk> responses, ServerCallContext context) =>
        responses.SendAllAsync(Dump(), context);

    public override Task ReadConsole(ReadConsoleRequest request, IServerStreamWriter<ConsoleChunk> responses, ServerCallContext context) =>
        responses.SendAllAsync(ReadConsole(request), context);

    public override Task WatchMigration(
        WatchMigrationRequest request, IServerStreamWriter<Migration> responses, ServerCallContext context) =>
        responses.SendAllAsync(Watch(context.CancellationToken), context);

    public override Task Drain(DrainRequest request, IServerStreamWriter<DrainUpdate> responses, ServerCallContext context) =>
        responses.SendAllAsync(Empty(request, context.CancellationToken), context);

    public override Task<Node> Undrain(UndrainRequest request, ServerCallContext context) =>
        Task.FromResult(new Node { Name = "alpha" });

    private Protocol.V1.Guest Find(string name) => Guests.Find(guest => guest.Spec.Name == name)
        ?? throw new Refusal(Because.NotFound, $"there is no guest {name}");

    private async IAsyncEnumerable<ConsoleChunk> ReadConsole(ReadConsoleRequest request)
    {
        await Task.Yield();
        ConsoleAsked = request;
        foreach (var chunk in Console)
        {
            yield return chunk;
        }
    }

    private async IAsyncEnumerable<DumpChunk> Dump()
    {
        await Task.Yield();
        foreach (var chunk in Chunks)
        {
            yield return chunk;
        }

        if (DumpFailure is { } failure)
        {
            throw failure;
        }
    }

    private async IAsyncEnumerable<DrainUpdate> Empty(
        DrainRequest request, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        DrainAsked = request;
        foreach (var update in DrainUpdates)
        {
            yield return update;
        }

        if (DrainForever)
        {
            Drained.SetResult();
            await Task.Delay(Timeout.Infinite, cancellation);
        }
    }

    private async IAsyncEnumerable<Migration> Watch(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (var update in Updates)
        {
            yield return update;
        }

        if (WatchForever)
        {
            Watched.SetResult();
            await Task.Delay(Timeout.Infinite, cancellation);
        }
    }
}
