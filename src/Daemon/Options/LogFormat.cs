namespace MigrationD.Daemon.Options;

/// <summary>How log events are written to standard error.</summary>
public enum LogFormat
{
    /// <summary>The journal's own form where standard error leads to the journal, text on a terminal, JSON anywhere else.</summary>
    Auto = 0,

    /// <summary>One readable line for each event.</summary>
    Text = 1,

    /// <summary>One JSON object a line for each event.</summary>
    Json = 2,
}
