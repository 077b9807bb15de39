namespace MigrationD.EndToEnd.Tests;

/// <summary>How a link can break.</summary>
public enum LinkFault
{
    /// <summary>The device is down: sending fails at once, or is unanswered.</summary>
    Down,

    /// <summary>Packets vanish, both ways.</summary>
    Silent,

    /// <summary>Connections are reset, as by a host that has restarted.</summary>
    Reset,

    /// <summary>Only the urgent lane is reset.</summary>
    UrgentLane,

    /// <summary>Only the push lane is reset.</summary>
    PushLane,
}
