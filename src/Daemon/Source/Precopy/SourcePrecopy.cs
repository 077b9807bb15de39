using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Push;
using MigrationD.Guest;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Precopy;

/// <summary>
/// Copies a guest's memory while the guest runs, round by round, until <see cref="PrecopyPolicy"/> says that it has paid; then tells what
/// went stale. One attempt: a lost link takes a new one.
/// </summary>
/// <remarks>
/// <see cref="SentPages"/> is the one truth about what the destination has as it is now: a harvest takes pages out of it, a round sends
/// what is not in it, and what is not in it at the switchover follows by post-copy. Always harvest first, send then: see
/// <see cref="IDirtyLog"/>.
/// </remarks>
internal sealed class SourcePrecopy : IDisposable
{
    // A quarter of a GiB: what comes later comes as fast in blocks.
    private const long MostHottest = 65536;

    // Each half as long as the one before: the shortest tells the hottest apart, the longest finds those that are less hot.
    private const int Looks = 4;

    private readonly SentPages _sent;
    private readonly ISourceLanes _lanes;
    private readonly MigrationRecord _record;
    private readonly IDirtyLog _log;
    private readonly VcpuThrottle? _throttle;
    private readonly PageSet _dirty;
    private readonly WriteHistory _history;
    private readonly long _pages;
    private readonly TimeProvider _time;
    private readonly long _began;
    private volatile PrecopyLimits _limits;
    private volatile bool _switchOverNow;
    private bool _timedOut;
    private bool _looked;

    /// <summary>
    /// Precopy over lanes that have sent nothing yet. The throttle holds the guest back when it writes too fast, and ends with precopy;
    /// time has been counted since the first attempt <paramref name="began"/>.
    /// </summary>
    public SourcePrecopy(
        IGuest guest, PrecopyLimits limits, ISourceLanes lanes, VcpuThrottle? throttle, MigrationRecord record, TimeProvider time,
        long began)
    {
        _time = time;
        _limits = limits;
        _lanes = lanes;
        _sent = lanes.Sent;
        _record = record;
        _began = began;
        _throttle = throttle;
        _pages = guest.Memory.PageCount;
        _dirty = new PageSet(_pages);
        _history = new WriteHistory(_pages);
        _log = guest.OpenDirtyLog();
    }

    private TimeSpan Elapsed => _time.GetElapsedTime(_began);

    public void Change(PrecopyLimits limits) => _limits = limits;

    /// <summary>Ends precopy by an operator's order: no further page goes before the switchover.</summary>
    public void SwitchOverNow() => _switchOverNow = true;

    /// <summary>Sends rounds until one is the last. Then the lane is at rest: everything that was sent is in its place.</summary>
    /// <returns>Why it ended.</returns>
    /// <exception cref="PrecopyException">It gives up: the guest writes faster than the limits allow for.</exception>
    public async Task<string> RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await SendRoundsAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            // From here on others pause the guest, and resume it.
            if (_throttle is not null)
            {
                await Task.Run(_throttle.Dispose, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    /// <summary>
    /// Says that precopy is over, while the guest still runs, and gives what is stale by now, so that little is left for the downtime.
    /// </summary>
    public async Task<IEnumerable<(long First, long Count)>> EndAsync(CancellationToken cancellationToken)
    {
        await _lanes.SendMarkAsync(PrecopyMark.PrecopyEnded, cancellationToken).ConfigureAwait(false);
        // Not what was harvested last: a round that was stopped has left older pages behind.
        return _sent.UnsentRuns(_pages);
    }

    /// <summary>
    /// Counts what a guest that is paused wrote last. In hybrid mode that is stale; in pure precopy <see cref="SendLastAsync"/> sends it.
    /// </summary>
    public void HarvestLast()
    {
        _dirty.Clear();
        _log.HarvestLast(_dirty);
        _sent.Remove(_dirty);
    }

    /// <summary>
    /// Lists the pages that the guest works on, the hottest first: what it will need first. What it writes once and leaves is not among
    /// them, if there was time to look.
    /// </summary>
    public ReadOnlyMemory<long> Hottest()
    {
        _history.Add(_dirty);
        long[] hottest = new long[(int)Math.Min(_pages, MostHottest)];
        return hottest.AsMemory(0, _looked ? _history.CopyHottest(hottest, least: 2, harvests: Looks + 1) : _history.CopyHottest(hottest));
    }

    /// <summary>Lists what the last harvest made stale.</summary>
    public IEnumerable<(long First, long Count)> Stale()
    {
        for (long from = 0; _dirty.TryNextRun(from, out long first, out long count); from = first + count)
        {
            yield return (first, count);
        }
    }

    /// <summary>Sends what is left in pure precopy, the guest being paused.</summary>
    /// <exception cref="PrecopyException">It takes much longer than the downtime limit.</exception>
    public async Task SendLastAsync(TimeSpan grace, CancellationToken cancellationToken)
    {
        Task last = _lanes.SendRoundAsync(() => false, PrecopyMark.PrecopyEnded, isPaced: false, cancellationToken);
        try
        {
            await last.WaitAsync(_limits.MoveAnyway ? Timeout.InfiniteTimeSpan : _limits.Downtime + grace, _time, cancellationToken)
                .ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new PrecopyException(
                $"the last pages did not go over within {(_limits.Downtime + grace).TotalMilliseconds:0} ms, though the downtime limit is "
                + $"{_limits.Downtime.TotalMilliseconds:0} ms");
        }
    }

    /// <summary>Ends the log: the guest writes at full speed again.</summary>
    public void Dispose() => _log.Dispose();

    private async Task<string> SendRoundsAsync(CancellationToken cancellationToken)
    {
        await Task.Run(_log.Arm, cancellationToken).ConfigureAwait(false);
        long dirtyBefore = _pages;
        for (int number = 1; ; number++)
        {
            long start = _time.GetTimestamp();
            long sent = await _lanes.SendRoundAsync(MustStop, PrecopyMark.RoundEnded, isPaced: true, cancellationToken)
                .ConfigureAwait(false);
            TimeSpan took = _time.GetElapsedTime(start);
            long dirty = await Task.Run(Harvest, cancellationToken).ConfigureAwait(false);
            var round = new PrecopyRound(number, sent, dirty, took, Elapsed);
            _record.Change(migration => Add(round, migration.Precopy));
            PrecopyDecision next = _switchOverNow
                ? new PrecopyDecision(PrecopyStep.SwitchOver, "an operator ordered the switchover")
                : PrecopyPolicy.Next(_limits, round, dirtyBefore);
            switch (next.Step)
            {
                case PrecopyStep.SwitchOver:
                    await LookAsync(round, cancellationToken).ConfigureAwait(false);
                    return next.Why;
                case PrecopyStep.GiveUp:
                    throw new PrecopyException(next.Why);
                default:
                    HoldBack(round, dirtyBefore);
                    dirtyBefore = dirty;
                    break;
            }
        }
    }

    /// <summary>
    /// Harvests a few times more, and sends nothing: rounds are so long that in the end every hot page is in each of them, and with it what
    /// the guest wrote once.
    /// </summary>
    private async Task LookAsync(PrecopyRound last, CancellationToken cancellationToken)
    {
        TimeSpan look = _limits.IsPure || _switchOverNow ? TimeSpan.Zero : PrecopyPolicy.LookFor(last);
        if (look == TimeSpan.Zero)
        {
            return;
        }

        for (int i = 0; i < Looks; i++)
        {
            look /= 2;
            await Task.Delay(look, _time, cancellationToken).ConfigureAwait(false);
            await Task.Run(Harvest, cancellationToken).ConfigureAwait(false);
        }

        _looked = true;
    }

    private static void Add(PrecopyRound round, PrecopyFigures figures)
    {
        figures.Rounds++;
        figures.PagesSent += (ulong)round.Sent;
        figures.DirtyPages = (ulong)round.Dirty;
        figures.DirtyPagesPerSecond = round.DirtyPagesPerSecond;
        figures.PagesPerSecond = round.PagesPerSecond;
    }

    private void HoldBack(PrecopyRound round, long dirtyBefore)
    {
        if (_throttle is not null)
        {
            _throttle.Percent = ThrottlePolicy.Next(_throttle.Percent, round, dirtyBefore);
            _record.Change(migration => migration.Precopy.CpuThrottlePercentage = (uint)_throttle.Percent);
        }
    }

    private bool MustStop()
    {
        // Pure precopy that goes on to its end whatever it takes is not stopped in the middle of a round.
        _timedOut |= Elapsed >= _limits.Timeout;
        return _switchOverNow || (_timedOut && !(_limits.IsPure && _limits.MoveAnyway));
    }

    private long Harvest()
    {
        _dirty.Clear();
        _log.Harvest(_dirty);
        _sent.Remove(_dirty);
        _history.Add(_dirty);
        return _pages - _sent.Count();
    }
}

/// <summary>Precopy does not come to its end within the limits that it was given; the guest goes on where it is.</summary>
internal sealed class PrecopyException(string why) : Exception(
    $"precopy gives up: {why}. Give it more (--downtime-limit, --max-rounds, --precopy-timeout), let it move the guest all the same "
    + "(--timeout-strategy continue), or let post-copy take over (--mode hybrid)");
