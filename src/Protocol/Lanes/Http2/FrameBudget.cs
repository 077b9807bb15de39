namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>
/// How many frames a second may come that carry nothing (SETTINGS, PING, PRIORITY, empty DATA, unknown types). A peer that sends
/// more is not a gRPC client but a load.
/// </summary>
internal sealed class FrameBudget
{
    /// <summary>The most in one second. A real client sends a handful.</summary>
    public const int PerSecond = 1000;

    private long _since = Environment.TickCount64;
    private int _count;

    public void Spend(FrameType type)
    {
        long now = Environment.TickCount64;
        if (now - _since >= 1000)
        {
            _since = now;
            _count = 0;
        }

        Http2Exception.ThrowIf(
            ++_count > PerSecond,
            Http2ErrorCode.EnhanceYourCalm,
            $"more than {PerSecond} frames without content in a second, the last of type {type}");
    }
}
