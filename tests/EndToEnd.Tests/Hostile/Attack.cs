namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>What a hostile client tries.</summary>
internal enum Attack
{
    /// <summary>Bytes that are nothing.</summary>
    Noise,

    /// <summary>Frames of random types, flags, streams and contents.</summary>
    RandomFrames,

    /// <summary>A call as it should be, with bytes changed, left out or doubled.</summary>
    MutatedCall,

    /// <summary>A call as it should be, with a random message.</summary>
    RandomMessage,

    /// <summary>A message that says it is larger than it is, up to 4 GiB.</summary>
    HugeLength,

    /// <summary>Headers that are small on the wire and large when decoded.</summary>
    HpackBomb,

    /// <summary>A header block that never ends.</summary>
    EndlessHeaders,

    /// <summary>Frames that have to be answered, many, with no answer read.</summary>
    FrameFlood,

    /// <summary>Calls begun and reset at once, many.</summary>
    RapidReset,

    /// <summary>Windows that overflow, and windows that are never opened.</summary>
    WindowAbuse,

    /// <summary>A lane of a session that is not its own.</summary>
    WrongSecret,

    /// <summary>Requests of HTTP/1.1 as browsers make them, with bytes changed, left out or doubled.</summary>
    MutatedHttp1,
}
