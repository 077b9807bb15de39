using Grpc.Health.V1;
using MigrationD.Daemon.Services;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace MigrationD.Daemon.Tests.Services;

public sealed class HealthServiceTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    private readonly ManualClock _clock = new();
    private readonly HealthService _service;
    private Task<bool[]> _found = Task.FromResult<bool[]>([true, true]);
    private int _looks;

    public HealthServiceTests() => _service = new HealthService(LookAsync, Control.Descriptor, _clock);

    [Theory]
    [InlineData("")]
    [InlineData("migrationd.v1.Control")]
    public async Task Node_on_which_all_is_well_serves(string service)
    {
        Assert.Equal(ServingStatus.Serving, await CheckAsync(service));
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task Node_on_which_anything_is_wrong_does_not_serve(bool first, bool second)
    {
        _found = Task.FromResult<bool[]>([first, second]);
        Assert.Equal(ServingStatus.NotServing, await CheckAsync());
    }

    [Fact]
    public async Task Other_services_are_not_here()
    {
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => CheckAsync("other"));
        Assert.Equal(
            (Because.NotFound, "check the health of service 'other': it is not served here; migrationd.v1.Control is"),
            (refusal.Why, refusal.Message));
        Assert.Equal(0, _looks);
    }

    [Fact]
    public async Task Look_is_good_for_a_second()
    {
        await CheckAsync();
        _found = Task.FromResult<bool[]>([false]);
        _clock.Advance(Fresh);
        Assert.Equal((ServingStatus.Serving, 1), (await CheckAsync(), _looks));
        _clock.Advance(Tick);
        Assert.Equal((ServingStatus.NotServing, 2), (await CheckAsync(), _looks));
        Assert.Equal((ServingStatus.NotServing, 2), (await CheckAsync(), _looks));
    }

    [Fact]
    public async Task Look_that_takes_long_is_shared_and_not_ended_by_who_does_not_wait()
    {
        var found = new TaskCompletionSource<bool[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        _found = found.Task;
        using var impatient = new CancellationTokenSource();
        Task<HealthCheckResponse> first = _service.Check(new HealthCheckRequest(), new DirectCall(impatient.Token));
        Task<ServingStatus> second = CheckAsync();
        _clock.Advance(10 * Fresh);
        Task<ServingStatus> third = CheckAsync();
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first.WaitAsync(Soon));
        Assert.Equal((false, false, 1), (second.IsCompleted, third.IsCompleted, _looks));
        found.SetResult([true]);
        Assert.Equal((ServingStatus.Serving, ServingStatus.Serving), (await second.WaitAsync(Soon), await third.WaitAsync(Soon)));
    }

    [Fact]
    public async Task Look_that_fails_fails_the_check_and_is_not_kept_beyond_its_time()
    {
        _found = Task.FromException<bool[]>(new IOException("no"));
        await Assert.ThrowsAsync<IOException>(() => CheckAsync());
        _found = Task.FromResult<bool[]>([true]);
        _clock.Advance(Fresh + Tick);
        Assert.Equal(ServingStatus.Serving, await CheckAsync());
    }

    [Fact]
    public async Task Who_watches_hears_what_changes()
    {
        using var ended = new CancellationTokenSource();
        var heard = new Heard<HealthCheckResponse>();
        Task watch = _service.Watch(new HealthCheckRequest(), heard, new DirectCall(ended.Token));
        Assert.Equal(ServingStatus.Serving, (await heard.NextAsync()).Status);
        await _clock.AdvanceOnceAwaitedAsync(Fresh - Tick);
        Assert.Equal(1, _looks);
        _clock.Advance(2 * Tick);
        _found = Task.FromResult<bool[]>([false]);
        await _clock.AdvanceOnceAwaitedAsync(Fresh + Tick);
        Assert.Equal(ServingStatus.NotServing, (await heard.NextAsync()).Status);
        await ended.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch.WaitAsync(Soon));
        Assert.False(heard.HasMore);
    }

    [Fact]
    public async Task Service_that_is_not_known_is_watched_all_the_same()
    {
        using var ended = new CancellationTokenSource();
        var heard = new Heard<HealthCheckResponse>();
        Task watch = _service.Watch(new HealthCheckRequest { Service = "other" }, heard, new DirectCall(ended.Token));
        Assert.Equal(ServingStatus.ServiceUnknown, (await heard.NextAsync()).Status);
        await _clock.AdvanceOnceAwaitedAsync(Fresh);
        await _clock.AdvanceOnceAwaitedAsync(Fresh);
        Assert.Equal((false, 0, false), (watch.IsCompleted, _looks, heard.HasMore));
        await ended.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch.WaitAsync(Soon));
    }

    private async Task<ServingStatus> CheckAsync(string service = "") =>
        (await _service.Check(new HealthCheckRequest { Service = service }, new DirectCall())).Status;

    private async Task<Protocol.V1.Health> LookAsync(CancellationToken cancel)
    {
        Assert.False(cancel.CanBeCanceled);
        _looks++;
        return new Protocol.V1.Health { Checks = { (await _found).Select(ok => new HealthCheck { Ok = ok }) } };
    }
}
