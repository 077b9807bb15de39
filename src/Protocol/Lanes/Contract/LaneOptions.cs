using MigrationD.Protocol.Calls;

namespace MigrationD.Protocol.Lanes.Contract;

/// <summary>Limits and deadlines of lanes. Both ends may differ; each enforces its own.</summary>
public sealed record LaneOptions
{
    /// <summary>
    /// How often the side that keeps a lane alive calls <see cref="LaneCall.Ping"/>: several times in the shortest silence that either end
    /// may be told to take for a lost link, which is 2 s.
    /// </summary>
    public static TimeSpan PingInterval { get; } = TimeSpan.FromMilliseconds(400);

    /// <summary>The longest message that is accepted, in bytes. Default: a 2 MiB block and 64 KiB for what comes with it.</summary>
    public int MaxMessageBytes { get; init; } = (2 * 1024 * 1024) + (64 * 1024);

    /// <summary>
    /// The largest header list that is accepted, in bytes as RFC 9113, section 6.5.2 counts them (name, value and 32 for each field).
    /// The same bound holds for a header block before it is decoded.
    /// </summary>
    public int MaxHeaderListBytes { get; init; } = 8 * 1024;

    /// <summary>The time from dialling or accepting a connection until the call has begun.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a call may wait for the peer's next byte; null waits as long as TCP says that the peer is there.</summary>
    public TimeSpan? IdleTimeout { get; init; }

    /// <summary>How long a connection is silent before TCP asks whether the peer is still there.</summary>
    public TimeSpan KeepAliveTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long TCP waits for each answer to that; the connection fails after <see cref="KeepAliveProbes"/> without one.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How many unanswered probes mean that the peer is gone.</summary>
    public int KeepAliveProbes { get; init; } = 3;

    /// <summary>
    /// How long sent data may stay unacknowledged before the connection fails (TCP_USER_TIMEOUT, tcp(7)). A peer that lives but takes
    /// nothing for this long is given up as well.
    /// </summary>
    public TimeSpan UnacknowledgedTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>SO_SNDBUF in bytes; null lets the kernel tune it, which is right for most links.</summary>
    public int? SendBufferBytes { get; init; }

    /// <summary>SO_RCVBUF in bytes; null lets the kernel tune it.</summary>
    public int? ReceiveBufferBytes { get; init; }

    /// <summary>Connections that a listener serves at a time; one more is closed at once.</summary>
    public int MaxConnections { get; init; } = 64;

    /// <summary>How long a finished or failed call waits for the peer to close, so that the peer can read the last words.</summary>
    public TimeSpan LingerTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>TLS with certificates on both sides; null sends and takes everything in plain text.</summary>
    public PeerTls? Tls { get; init; }

    /// <summary>What the listener's threads are called, followed by a number. Linux shows the first 15 characters.</summary>
    public string ThreadName { get; init; } = "lane";

    /// <summary>
    /// These options for connections that fail after so much silence, however it comes about: the link is gone, or the peer's process hangs
    /// while its kernel answers. One of the two ends has to <see cref="LaneCall.Ping"/>. TCP counts in whole seconds.
    /// </summary>
    /// <param name="silence">At least 2 s.</param>
    public LaneOptions WithSilence(TimeSpan silence)
    {
        const int Probes = 2;
        int seconds = (int)Math.Max(2, silence.TotalSeconds);
        int interval = Math.Max(1, seconds / (Probes + 2));
        return this with
        {
            KeepAliveTime = TimeSpan.FromSeconds(Math.Max(1, seconds - (Probes * interval))),
            KeepAliveInterval = TimeSpan.FromSeconds(interval),
            KeepAliveProbes = Probes,
            UnacknowledgedTimeout = TimeSpan.FromSeconds(seconds),
            IdleTimeout = silence,
        };
    }

    /// <summary>Refuses options that cannot work.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The message names the option.</exception>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxMessageBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxHeaderListBytes, 256);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxHeaderListBytes, 1024 * 1024);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(HandshakeTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxConnections);
        ArgumentOutOfRangeException.ThrowIfLessThan(LingerTimeout, TimeSpan.Zero);
        if (IdleTimeout is { } idle)
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(idle, TimeSpan.Zero, nameof(IdleTimeout));
        }
    }
}
