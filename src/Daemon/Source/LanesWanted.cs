namespace MigrationD.Daemon.Source;

/// <summary>Which lanes are opened besides the urgent one.</summary>
/// <param name="Push">How many for the push.</param>
/// <param name="Handover">How long answers on the handover lane may take; null for no such lane.</param>
internal sealed record LanesWanted(int Push, HandoverPatience? Handover = null);
