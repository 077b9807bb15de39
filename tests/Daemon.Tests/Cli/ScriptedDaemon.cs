using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>
/// A real gRPC server on a unix socket whose answers the test decides. What it serves is the protocol; what it lacks is guests: the
/// end-to-end tests have those.
/// </summary>
internal sealed class ScriptedDaemon : IAsyncDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("migrationd-test-");
    private readonly WebApplication _server;

    private ScriptedDaemon()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForGrpc();
            kestrel.ListenUnixSocket(Socket);
        });
        _server = builder.Build();
        _server.MapUnary(ControlMethods.GetNode, (_, _) => Task.FromResult(new Node { Name = "alpha", Listen = "127.0.0.1:7461" }));
        _server.MapUnary(ControlMethods.GetHealth, (_, _) => Task.FromResult(Health));
        _server.MapUnary(ControlMethods.CreateGuest, (request, _) => Answer(request, Created = request.Spec));
        _server.MapUnary(ControlMethods.ListGuests, (_, _) => Task.FromResult(new ListGuestsResponse { Guests = { Guests } }));
        _server.MapUnary(ControlMethods.GetGuest, (request, _) => Task.FromResult(Find(request.Name)));
        _server.MapUnary(ControlMethods.PauseGuest, (request, _) => Task.FromResult(Find(request.Name)));
        _server.MapUnary(ControlMethods.DeleteGuest, (request, _) =>
        {
            Guests.Remove(Find(request.Name));
            return Task.FromResult(new DeleteGuestResponse());
        });
        _server.MapUnary(ControlMethods.HashGuest, (request, _) =>
            throw new GrpcException(GrpcStatusCode.FailedPrecondition, $"guest {request.Name} is running; pause it first"));
        _server.MapUnary(ControlMethods.Migrate, (request, _) =>
        {
            Asked = request;
            return Task.FromResult(Samples.Migration(MigrationState.Setup));
        });
        _server.MapUnary(ControlMethods.ListMigrations, (_, _) => Task.FromResult(new ListMigrationsResponse { Migrations = { Updates } }));
        _server.MapUnary(ControlMethods.GetMigration, (_, _) => Task.FromResult(Updates[^1]));
        _server.MapUnary(ControlMethods.CancelMigration, (request, _) => throw new GrpcException(
            GrpcStatusCode.FailedPrecondition, $"cancel migration {request.Id} of guest 'web': it is postcopy-active; too late"));
        _server.MapUnary(ControlMethods.RecoverMigration, (request, _) =>
        {
            RecoverAsked = request;
            return Task.FromResult(Updates[0]);
        });
        _server.MapUnary(ControlMethods.ResolveMigration, (request, _) =>
        {
            ResolveAsked = request;
            return Task.FromResult(Updates[0]);
        });
        _server.MapServerStreaming(ControlMethods.DumpGuest, (_, _) => Dump());
        _server.MapServerStreaming(ControlMethods.ReadConsole, (request, _) => ReadConsole(request));
        _server.MapServerStreaming(ControlMethods.WatchMigration, (_, context) => Watch(context.CancellationToken));
        _server.MapServerStreaming(ControlMethods.Drain, (request, context) => Empty(request, context.CancellationToken));
        _server.MapUnary(ControlMethods.Undrain, (_, _) => Task.FromResult(new Node { Name = "alpha" }));
        _server.MapGrpcFallback();
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
    public GrpcException? DumpFailure { get; set; }

    /// <summary>What ReadConsole answers.</summary>
    public List<ConsoleChunk> Console { get; } = [];

    /// <summary>The last ReadConsole.</summary>
    public ReadConsoleRequest? ConsoleAsked { get; private set; }

    /// <summary>What Drain answers.</summary>
    public List<DrainUpdate> Drain { get; } = [];

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

    private static Task<Protocol.V1.Guest> Answer(CreateGuestRequest request, GuestSpec spec) => spec.Name == "taken"
        ? throw new GrpcException(GrpcStatusCode.AlreadyExists, $"guest {request.Spec.Name} exists")
        : Task.FromResult(new Protocol.V1.Guest { Spec = spec, State = GuestState.Running });

    private Protocol.V1.Guest Find(string name) => Guests.Find(guest => guest.Spec.Name == name)
        ?? throw new GrpcException(GrpcStatusCode.NotFound, $"there is no guest {name}");

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
        foreach (var update in Drain)
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
