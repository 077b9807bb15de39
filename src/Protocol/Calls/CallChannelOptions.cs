namespace MigrationD.Protocol.Calls;

/// <summary>What a <see cref="CallChannel"/> enforces and how long it waits for a connection.</summary>
public sealed class CallChannelOptions
{
    /// <summary>
    /// The largest response message accepted, in bytes, without its framing; 4 MiB unless set. A larger one ends its call with
    /// RESOURCE_EXHAUSTED.
    /// </summary>
    public int MaxReceiveMessageBytes { get; set; } = CallLimits.MaxMessageBytes;

    /// <summary>How long one dial may take before it counts as failed (UNAVAILABLE); 10 seconds unless set.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a connection with calls on it may be silent before it is asked whether it still lives, and how long it has to answer;
    /// 20 seconds unless set, 1 second at the least. A connection that does not answer ends its calls with UNAVAILABLE.
    /// </summary>
    public TimeSpan KeepAlive { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>TLS with certificates on both sides; null sends and takes everything in plain text.</summary>
    public PeerTls? Tls { get; set; }

    /// <summary>Asked about the address that a connection was made to, before anything is sent: why it is refused, or null.</summary>
    public Func<IPAddress, string?> RefuseAddress { get; set; } = _ => null;
}
