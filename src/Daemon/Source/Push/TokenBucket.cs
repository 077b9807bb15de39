namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// How many bytes may be sent now at a rate, without a clock of its own: each time is from one beginning, and never less than the one
/// before. What was sent is withdrawn, and may be more than there was; the next sender waits until that is made up for. So over any time it
/// is the rate, what <see cref="Burst"/> saves up, and one message.
/// </summary>
internal sealed class TokenBucket
{
    /// <summary>What is not used is saved up for so long: enough for a sleep that ends late, too little to be felt on the link.</summary>
    public static readonly TimeSpan Burst = TimeSpan.FromMilliseconds(10);

    /// <summary>What is taken without waiting is made up for, as far as it is no more than the rate allows in this time.</summary>
    public static readonly TimeSpan LongestMemory = TimeSpan.FromSeconds(1);

    private double _level;
    private TimeSpan _filledAt;

    /// <summary>Bytes a second; 0 for no limit.</summary>
    public long Rate { get; private set; }

    /// <summary>Changes the rate; what is owed stays owed, but where there is no limit.</summary>
    public void SetRate(long rate, TimeSpan now)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rate);
        Fill(now);
        Rate = rate;
        Fill(now);
    }

    /// <summary>
    /// Says how long to wait before something is sent, while others may be sending so many bytes that nobody has withdrawn yet.
    /// </summary>
    public TimeSpan Delay(TimeSpan now, long underWay = 0)
    {
        Fill(now);
        double level = _level - underWay;
        return Rate == 0 || level >= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(-level / Rate);
    }

    /// <summary>Withdraws what was sent after a wait.</summary>
    public void Withdraw(long bytes, TimeSpan now)
    {
        Fill(now);
        _level -= Rate == 0 ? 0 : bytes;
    }

    /// <summary>Withdraws what was sent without waiting; it shortens what others may send.</summary>
    public void WithdrawUrgent(long bytes, TimeSpan now)
    {
        Fill(now);
        double deepest = Math.Min(_level, -Rate * LongestMemory.TotalSeconds);
        _level = Math.Max(deepest, _level - (Rate == 0 ? 0 : bytes));
    }

    private void Fill(TimeSpan now)
    {
        _level = Rate == 0 ? 0 : Math.Min(Rate * Burst.TotalSeconds, _level + (Rate * (now - _filledAt).TotalSeconds));
        _filledAt = now;
    }
}
