using System.Text;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Guests;

public sealed class ConsoleFeedTests : IAsyncDisposable
{
    private const string Moved = "3 moved to there:1 in 0123456789ab";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Redial = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    private readonly ManualClock _clock = new();
    private readonly CancellationTokenSource _cancel = new();
    private readonly ScriptedGuest _guest = new();
    private readonly ScriptedElsewhere _elsewhere = new();
    private IAsyncEnumerator<ConsoleChunk>? _chunks;
    private Task _next = Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _cancel.CancelAsync();
        await _next.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_chunks is not null)
        {
            await _chunks.DisposeAsync();
        }

        _guest.Memory.Dispose();
        _cancel.Dispose();
    }

    // ---- of a guest that is here

    [Theory]
    [InlineData(0, "0 hello")]
    [InlineData(2, "2 llo")]
    [InlineData(5, null)]
    [InlineData(6, null)]
    [InlineData(ulong.MaxValue, null)]
    public async Task What_is_kept_is_read_from_an_offset_on(ulong start, string? expected)
    {
        Write("hello");
        Assert.Equal(expected is null ? [] : [expected], await ReadAsync(Created(), start));
    }

    [Fact]
    public async Task What_is_not_kept_any_more_is_left_out()
    {
        Write(new string('a', 60) + "0123456789");
        Assert.Equal([$"6 {new string('a', 54)}0123456789"], await ReadAsync(Created()));
    }

    [Fact]
    public async Task Long_console_comes_in_chunks()
    {
        var guest = new ScriptedGuest(consoleBytes: 40_000);
        guest.Console!.Write(new byte[40_000]);
        var lengths = new List<(ulong, int)>();
        await foreach (ConsoleChunk chunk in ConsoleFeed.ReadAsync(
            HostedGuest.Created(guest, guest.Memory, GuestJournal.None), 0, follow: false, _clock, _cancel.Token))
        {
            lengths.Add((chunk.Offset, chunk.Data.Length));
        }

        Assert.Equal([(0ul, 16384), (16384ul, 16384), (32768ul, 7232)], lengths);
        guest.Memory.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(ulong.MaxValue)]
    public async Task What_is_written_later_comes_when_it_is_looked_at_again(ulong start)
    {
        Write("ab");
        Begin(Created(), start);
        if (start == 0)
        {
            Assert.Equal("0 ab", await NextAsync());
        }

        Task<string?> next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Look - Tick);
        Write("cd");
        Assert.False(next.IsCompleted);
        _clock.Advance(Tick);
        Assert.Equal("2 cd", await next.WaitAsync(Soon));
        next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Look);
        Write("e");
        await _clock.AdvanceOnceAwaitedAsync(Look);
        Assert.Equal("4 e", await next.WaitAsync(Soon));
    }

    [Fact]
    public async Task Console_of_a_guest_that_cannot_go_on_ends_with_the_reason()
    {
        Write("ab");
        _guest.Failure = "triple fault";
        Assert.Equal(["0 ab", "2 notice: guest 'one' cannot go on: triple fault"], await ReadAsync(Created(), follow: true));
    }

    [Fact]
    public async Task Console_ends_when_its_guest_is_deleted()
    {
        HostedGuest hosted = Created();
        Begin(hosted);
        Task<string?> next = NextAsync();
        await hosted.DeleteAsync();
        await _clock.AdvanceOnceAwaitedAsync(Look);
        Assert.Equal("0 notice: guest 'one' was deleted", await next.WaitAsync(Soon));
        Assert.Null(await NextAsync());
    }

    [Fact]
    public async Task Reading_ends_when_nobody_wants_it()
    {
        Begin(Created());
        Task<string?> next = NextAsync();
        await _cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next);
    }

    // ---- of one on its way here

    [Fact]
    public async Task Guest_that_comes_has_its_console_where_it_comes_from()
    {
        Write("ab");
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => ReadAsync(Coming()));
        Assert.Equal(
            (Because.NotNow, "console of guest 'one': migration 0123456789ab is bringing it and it does not run here yet; read its console on "
                + "the node that it comes from, or wait for it with --follow"),
            (refusal.Why, refusal.Message));
    }

    [Fact]
    public async Task Who_follows_a_guest_that_comes_reads_when_it_runs()
    {
        Write("ab");
        HostedGuest hosted = Coming();
        Begin(hosted);
        Task<string?> next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Look);
        hosted.Arrive(run: true);
        await _clock.AdvanceOnceAwaitedAsync(Look);
        Assert.Equal("0 ab", await next.WaitAsync(Soon));
    }

    // ---- of one that has gone elsewhere

    [Fact]
    public async Task Console_goes_on_where_the_guest_does()
    {
        Write("abc");
        HostedGuest hosted = Away();
        Write("never was");
        _elsewhere.Then(ScriptedElsewhere.Chunk(3, "de"), ScriptedElsewhere.Chunk(5, "f"));
        Assert.Equal(["0 abc", Moved, "3 de", "5 f"], await ReadAsync(hosted));
        Assert.Equal([(3L, false)], _elsewhere.Asked);
    }

    [Fact]
    public async Task What_is_behind_the_switchover_is_asked_for_elsewhere_alone()
    {
        Write("abc");
        HostedGuest hosted = Away();
        _elsewhere.Then(ScriptedElsewhere.Chunk(7, "h"));
        Assert.Equal(["7 moved to there:1 in 0123456789ab", "7 h"], await ReadAsync(hosted, 7, follow: true));
        Assert.Equal([(7L, true)], _elsewhere.Asked);
    }

    [Fact]
    public async Task Offset_beyond_every_console_is_asked_for_as_one_that_can_be_counted()
    {
        HostedGuest hosted = Away();
        _elsewhere.ThenRefuse(Because.Unreachable, "nobody", new ConsoleChunk { Offset = ulong.MaxValue });
        _elsewhere.Then();
        Begin(hosted, ulong.MaxValue);
        Assert.Equal($"{long.MaxValue / 2} moved to there:1 in 0123456789ab", await NextAsync());
        await NextAsync();
        Assert.Equal($"{long.MaxValue / 2} notice: the console at there:1 cannot be read: nobody", await NextAsync());
        Assert.Equal([(long.MaxValue / 2, true)], _elsewhere.Asked);
    }

    [Fact]
    public async Task Who_follows_goes_along_when_the_guest_leaves()
    {
        HostedGuest hosted = Created();
        Begin(hosted);
        Task<string?> next = NextAsync();
        GiveAway(hosted);
        Write("abc");
        _elsewhere.Then(ScriptedElsewhere.Chunk(0, "x"));
        await _clock.AdvanceOnceAwaitedAsync(Look);
        Assert.Equal("0 moved to there:1 in 0123456789ab", await next.WaitAsync(Soon));
        Assert.Equal("0 x", await NextAsync());
        Assert.Null(await NextAsync());
    }

    [Fact]
    public async Task Guest_that_comes_back_goes_on_from_the_switchover()
    {
        Write("abc");
        HostedGuest hosted = Away();
        _elsewhere.ThenWait(ScriptedElsewhere.Chunk(3, "not here"));
        Begin(hosted);
        Assert.Equal(["0 abc", Moved, "3 not here"], [await NextAsync(), await NextAsync(), await NextAsync()]);
        Task<string?> next = NextAsync();
        await _elsewhere.Waiting.Task.WaitAsync(Soon);
        Write("def");
        hosted.Return();
        Assert.Equal("3 def", await next.WaitAsync(Soon));
        next = NextAsync();
        Write("g");
        await _clock.AdvanceOnceAwaitedAsync(Look);
        Assert.Equal("6 g", await next.WaitAsync(Soon));
    }

    [Fact]
    public async Task Guest_whose_record_is_deleted_meanwhile_has_no_console_any_more()
    {
        HostedGuest hosted = Away();
        await hosted.FreeAwayAsync();
        _elsewhere.ThenWait();
        Begin(hosted);
        await NextAsync();
        Task<string?> next = NextAsync();
        await _elsewhere.Waiting.Task.WaitAsync(Soon);
        await hosted.DeleteAsync();
        Assert.Equal("0 notice: guest 'one' was deleted", await next.WaitAsync(Soon));
        Assert.Null(await NextAsync());
    }

    [Fact]
    public async Task Reading_elsewhere_ends_when_nobody_wants_it()
    {
        HostedGuest hosted = Away();
        _elsewhere.ThenWait();
        Begin(hosted);
        await NextAsync();
        Task<string?> next = NextAsync();
        await _elsewhere.Waiting.Task.WaitAsync(Soon);
        await _cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next.WaitAsync(Soon));
    }

    // ---- that cannot be read there

    [Theory]
    [InlineData(Because.NotFound, false, Because.NotFound)]
    [InlineData(Because.NotFound, true, Because.NotFound)]
    [InlineData(Because.NotNow, true, Because.NotNow)]
    [InlineData(Because.Gone, true, Because.NotNow)]
    [InlineData(Because.NotSupported, true, Because.NotNow)]
    [InlineData(Because.Invalid, true, Because.NotNow)]
    [InlineData(Because.Forbidden, true, Because.NotNow)]
    [InlineData(Because.Untrusted, true, Because.NotNow)]
    [InlineData(Because.Unreachable, false, Because.NotNow)]
    public async Task Refusal_that_stays_is_passed_on_when_all_of_the_guest_is_there(Because there, bool follow, Because here)
    {
        HostedGuest hosted = Away();
        await hosted.FreeAwayAsync();
        _elsewhere.ThenRefuse(there, "no");
        Begin(hosted, follow: follow);
        await NextAsync();
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(NextAsync);
        Assert.Equal(
            (here, "guest 'one' went to there:1 in migration 0123456789ab, and its console cannot be read there: no"),
            (refusal.Why, refusal.Message));
    }

    [Theory]
    [InlineData(Because.Unreachable)]
    [InlineData(Because.TimedOut)]
    [InlineData(Because.Busy)]
    [InlineData(Because.Lost)]
    public async Task Node_that_does_not_answer_is_dialled_again_and_says_so_once(Because why)
    {
        HostedGuest hosted = Away();
        await hosted.FreeAwayAsync();
        _elsewhere.ThenRefuse(why, "no");
        _elsewhere.ThenRefuse(why, "no");
        _elsewhere.ThenRefuse(why, "not yet");
        _elsewhere.ThenRefuse(why, "not yet", ScriptedElsewhere.Chunk(0, "a"));
        _elsewhere.ThenRefuse(why, "not yet", new ConsoleChunk { Offset = 1, Notice = "from there" });
        _elsewhere.Then(ScriptedElsewhere.Chunk(1, "b"));
        Begin(hosted);
        await NextAsync();
        Assert.Equal("0 notice: the console at there:1 cannot be read: no", await NextAsync());
        Task<string?> next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Redial - Tick);
        Assert.Equal((false, 1), (next.IsCompleted, _elsewhere.Asked.Count));
        _clock.Advance(Tick);
        // The second answer is no news, and who reads hears nothing of it.
        await _clock.AdvanceOnceAwaitedAsync(Redial);
        Assert.Equal("0 notice: the console at there:1 cannot be read: not yet", await next.WaitAsync(Soon));
        next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Redial);
        Assert.Equal("0 a", await next.WaitAsync(Soon));
        Assert.Equal("1 notice: the console at there:1 cannot be read: not yet", await NextAsync());
        next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Redial);
        Assert.Equal("1 notice: from there", await next.WaitAsync(Soon));
        next = NextAsync();
        await _clock.AdvanceOnceAwaitedAsync(Redial);
        Assert.Equal("1 b", await next.WaitAsync(Soon));
        Assert.Null(await NextAsync());
        Assert.Equal([0L, 0, 0, 0, 1, 1], _elsewhere.Asked.Select(asked => asked.Offset));
    }

    [Fact]
    public async Task Refusal_is_no_end_as_long_as_the_guest_may_come_back()
    {
        Write("abc");
        HostedGuest hosted = Away();
        _elsewhere.ThenRefuse(Because.NotFound, "no");
        Begin(hosted);
        Assert.Equal(["0 abc", Moved], [await NextAsync(), await NextAsync()]);
        Assert.Equal("3 notice: the console at there:1 cannot be read: no", await NextAsync());
        Task<string?> next = NextAsync();
        Assert.False(next.IsCompleted);
        hosted.Return();
        Write("d");
        await _clock.AdvanceOnceAwaitedAsync(Redial);
        Assert.Equal("3 d", await next.WaitAsync(Soon));
    }

    [Fact]
    public async Task Who_does_not_follow_hears_what_was_refused_behind_what_is_here()
    {
        Write("abc");
        HostedGuest hosted = Away();
        _elsewhere.ThenRefuse(Because.NotFound, "no");
        Assert.Equal(["0 abc", Moved, "3 notice: the console at there:1 cannot be read: no"], await ReadAsync(hosted));
    }

    [Fact]
    public async Task Each_migration_is_announced()
    {
        HostedGuest hosted = Away();
        _elsewhere.ThenWait();
        Begin(hosted);
        Assert.Equal("0 moved to there:1 in 0123456789ab", await NextAsync());
        Task<string?> next = NextAsync();
        await _elsewhere.Waiting.Task.WaitAsync(Soon);
        hosted.Return();
        // It is read here in between.
        await _clock.AwaitedAsync();
        hosted.TakeForMigration("ba9876543210", "there:1", out Task _);
        hosted.GiveAway(_elsewhere);
        _clock.Advance(Look);
        Assert.Equal("0 moved to there:1 in ba9876543210", await next.WaitAsync(Soon));
    }

    private static string Show(ConsoleChunk chunk) =>
        chunk.Moved is { } moved ? $"{chunk.Offset} moved to {moved.To} in {moved.MigrationId}"
        : chunk.Notice.Length > 0 ? $"{chunk.Offset} notice: {chunk.Notice}"
        : $"{chunk.Offset} {chunk.Data.ToString(Encoding.ASCII)}";

    private void Write(string text) => _guest.Console!.Write(Encoding.ASCII.GetBytes(text));

    private HostedGuest Created() => HostedGuest.Created(_guest, _guest.Memory, GuestJournal.None);

    private HostedGuest Coming() => HostedGuest.Coming(_guest, _guest.Memory, GuestJournal.None, "0123456789ab", "source");

    private HostedGuest Away()
    {
        HostedGuest hosted = Created();
        GiveAway(hosted);
        return hosted;
    }

    private void GiveAway(HostedGuest hosted)
    {
        hosted.TakeForMigration("0123456789ab", "there:1", out Task _);
        hosted.GiveAway(_elsewhere);
    }

    private void Begin(HostedGuest hosted, ulong start = 0, bool follow = true) =>
        _chunks = ConsoleFeed.ReadAsync(hosted, start, follow, _clock, _cancel.Token).GetAsyncEnumerator(_cancel.Token);

    private Task<string?> NextAsync()
    {
        Task<string?> next = MoveAsync();
        _next = next;
        return next;
    }

    private async Task<string?> MoveAsync() => await _chunks!.MoveNextAsync() ? Show(_chunks.Current) : null;

    private async Task<List<string>> ReadAsync(HostedGuest hosted, ulong start = 0, bool follow = false)
    {
        var shown = new List<string>();
        await foreach (ConsoleChunk chunk in ConsoleFeed.ReadAsync(hosted, start, follow, _clock, _cancel.Token))
        {
            shown.Add(Show(chunk));
        }

        return shown;
    }
}
